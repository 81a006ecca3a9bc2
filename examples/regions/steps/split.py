"""Write a file of its own for each region of a table."""

import argparse
import csv
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--to", type=Path)
options = parser.parse_args()

regions = {}
with open("flats.csv", newline="") as table:
    for row in csv.DictReader(table):
        regions.setdefault(row["region"], []).append(row)

options.to.mkdir(parents=True)
for region, rows in regions.items():
    with open(options.to / f"{region}.csv", "w", newline="") as part:
        writer = csv.DictWriter(part, ["square_metres", "rent"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{region}: {len(rows)} flats")

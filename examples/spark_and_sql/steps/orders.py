"""Writes made-up orders: the same ones for the same number of days."""

import argparse
import csv
import random
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--days", type=int)
parser.add_argument("--orders", type=Path)
args = parser.parse_args()

chance = random.Random(7)  # noqa: S311
with args.orders.open("w", newline="") as stream:
    writer = csv.writer(stream)
    writer.writerow(["day", "region", "product", "price"])
    for day in range(1, args.days + 1):
        for _ in range(200):
            region, product = chance.choice(["north", "south", "west"]), chance.choice(["tea", "coffee", "cocoa"])
            writer.writerow([day, region, product, chance.randint(2, 9)])
print("wrote", args.days * 200, "orders")

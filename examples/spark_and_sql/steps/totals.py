# Databricks notebook source
# MAGIC %md
# MAGIC # Totals by region and product

# COMMAND ----------

orders = spark.read.csv(dbutils.widgets.get("orders"), header=True, inferSchema=True)
orders.createOrReplaceTempView("orders")
display(orders.limit(3))

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT region, product, count(*) AS orders, sum(price) AS total
# MAGIC FROM orders WHERE day > :skip_days
# MAGIC GROUP BY region, product ORDER BY region, product

# COMMAND ----------

from stepwell import Run

totals = _sqldf
totals.coalesce(1).write.csv(dbutils.widgets.get("totals"), header=True)
Run.get_context().log("rows", totals.count())
dbutils.notebook.exit("done")

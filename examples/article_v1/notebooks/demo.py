# Databricks notebook source
# MAGIC %md
# MAGIC # Words of the newsgroups
# MAGIC What the article's Databricks step runs: it counts words on Spark.

# COMMAND ----------

dbutils.widgets.text("myparam", "nothing")
print("myparam is", dbutils.widgets.get("myparam"))

# COMMAND ----------

lines = spark.read.text(dbutils.widgets.get("input"))
lines.createOrReplaceTempView("lines")

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT word, count(*) AS times
# MAGIC FROM (SELECT explode(split(value, ' ')) AS word FROM lines)
# MAGIC GROUP BY word ORDER BY times DESC, word LIMIT 3

# COMMAND ----------

from azureml.core import Run

words = _sqldf
words.coalesce(1).write.csv(dbutils.widgets.get("output"), header=True)
Run.get_context().log("most frequent", words.first().word)

# COMMAND ----------

dbutils.notebook.exit(words.first().word)

"""What Spark is asked to do, run by the interpreter of Spark's own environment: `spark_program.py FOLDER PLAN`.

PLAN is JSON: the targets (url, and the address that their data connections come from), the writes and the algorithms.
Each target gets, once a line comes on standard input, every write with each version of FileOutputCommitter's algorithm;
what Spark then reads is printed, a line of JSON for each algorithm.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pyspark.sql import SparkSession

COMMITTER = "mapreduce.fileoutputcommitter.algorithm.version"
TASKS = 2
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def session(folder: str) -> SparkSession:
    builder = SparkSession.builder.master(f"local[{TASKS}]").appName("partitioned Parquet")
    for name, value in {**SETTINGS, "spark.local.dir": folder, "spark.sql.warehouse.dir": folder}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def connect(spark: SparkSession, target: dict[str, str]) -> None:
    """Opens the file system that Spark then finds in Hadoop's cache; its data connections come from one address."""
    hadoop = spark._jvm.org.apache.hadoop
    configuration = hadoop.conf.Configuration(spark._jsc.hadoopConfiguration())
    configuration.set("dfs.client.local.interfaces", target["address"])
    hadoop.fs.FileSystem.get(spark._jvm.java.net.URI(target["url"]), configuration)


def perform(spark: SparkSession, table: str, write: dict[str, Any], algorithm: str) -> None:
    """Writes `count` rows, the kinds in turn, each told apart by `version`."""
    kinds = ", ".join(f"'{kind}'" for kind in write["kinds"])
    rows = spark.range(0, write["count"], 1, TASKS).selectExpr(
        f"element_at(array({kinds}), cast(id % {len(write['kinds'])} as int) + 1) as kind",
        "id",
        f"id * 0.5D + {write['version']} as amount",
        "if(id % 7 = 0, null, concat('row ', id)) as note",
    )
    writer = rows.write.mode(write["mode"]).partitionBy("kind").option(COMMITTER, algorithm)
    writer.option("partitionOverwriteMode", write["partitions"]).parquet(table)


def main(folder: str, plan: dict[str, Any]) -> None:
    spark = session(folder)
    for target in plan["targets"]:
        sys.stdin.readline()
        connect(spark, target)
        for algorithm in plan["algorithms"]:
            table = f"{target['url']}/{algorithm}"
            for write in plan["writes"]:
                perform(spark, table, write, algorithm)
            found = spark.read.parquet(table).select("kind", "id", "amount", "note").collect()
            print(json.dumps({"algorithm": algorithm, "rows": found}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))

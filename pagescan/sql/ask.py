"""Asks an engine the questions in this directory of tables that `pagescan export --parquet` wrote.

    python3 ask.py [--where CONDITION] [--matrix N] [--cost] duckdb|spark MAX_PAGE_SHARING PLACE...

A place is a directory, or of DuckDB `s3://BUCKET/PREFIX` too; for that the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL count. Files may lie in folders at will, such as those of `export --hive`, by
which --where chooses: day = '2026-11-29', host IN ('web1', 'web2').

Prints a list of the answers as JSON, those about each place an object. The SQL is the same for both engines.
"""

import argparse
import json
import os
import pathlib
import resource
import sys
import tempfile
import time
import urllib.parse

TABLES = ["snapshots", "frames", "files", "processes", "mappings", "pages"]
QUESTIONS = ["classes", "savings", "matrix", "lifetimes"]
HERE = pathlib.Path(__file__).parent


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class DuckDb:
    def __init__(self, places):
        import duckdb

        self.engine = duckdb.connect()
        if any(place.startswith("s3://") for place in places):
            self.load_s3()

    def load_s3(self):
        try:
            import duckdb_extension_httpfs
        except ImportError:
            # From DuckDB's own server.
            self.engine.execute("INSTALL httpfs")
            self.engine.execute("LOAD httpfs")
        else:
            [file] = pathlib.Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension")
            self.engine.execute(f"LOAD {quoted(str(file))}")
        values = {"KEY_ID": "AWS_ACCESS_KEY_ID", "SECRET": "AWS_SECRET_ACCESS_KEY", "SESSION_TOKEN": "AWS_SESSION_TOKEN", "REGION": "AWS_REGION"}
        options = [f"{name} {quoted(os.environ[value])}" for name, value in values.items() if os.environ.get(value)]
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            endpoint = urllib.parse.urlsplit(endpoint)
            is_tls = "true" if endpoint.scheme == "https" else "false"
            options += [f"ENDPOINT {quoted(endpoint.netloc)}", "URL_STYLE 'path'", f"USE_SSL {is_tls}"]
        self.engine.execute(f"CREATE SECRET ({', '.join(['TYPE s3', *options])})")

    def table(self, name, place, condition):
        # Names of hosts are texts, even those of digits.
        files = f"read_parquet({quoted(f'{place}/{name}/**/*.parquet')}, hive_types_autocast = false)"
        where = f" WHERE {condition}" if condition else ""
        self.engine.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {files}{where}")

    def do(self, statement):
        # Otherwise each question would work out all views anew, and read all files.
        self.engine.execute(statement.replace(" TEMPORARY VIEW ", " TEMPORARY TABLE ", 1))

    def ask(self, statement):
        return [list(row) for row in self.engine.execute(statement).fetchall()]

    def close(self):
        self.engine.close()


class Spark:
    """Two executors of a core and 1 GiB each, processes of their own as on a cluster, which listen on this machine only."""

    def __init__(self, _places):
        import pyspark

        # What runs executors writes below SPARK_HOME, which may be anybody's: there is one for us.
        self.home = tempfile.TemporaryDirectory()
        for name in ["bin", "jars"]:
            (pathlib.Path(self.home.name) / name).symlink_to(pathlib.Path(pyspark.__file__).parent / name)
        os.environ |= {"SPARK_HOME": self.home.name, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": self.home.name}
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
        self.engine = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
        self.engine.sparkContext.setLogLevel("ERROR")

    def table(self, name, place, condition):
        self.engine.catalog.clearCache()
        files = self.engine.read.parquet(f"{place}/{name}")
        (files.where(condition) if condition else files).createOrReplaceTempView(name)

    def do(self, statement):
        self.engine.sql(statement)
        # Otherwise each question would work out all views anew.
        self.engine.catalog.cacheTable(statement.split(" VIEW ")[1].split()[0])

    def ask(self, statement):
        return [list(row) for row in self.engine.sql(statement).collect()]

    def close(self):
        gateway = self.engine.sparkContext._gateway
        self.engine.stop()
        gateway.shutdown()
        # It ends when nobody talks to it any more, and removes its files before.
        gateway.proc.stdin.close()
        gateway.proc.wait()
        self.home.cleanup()


def statements(name, options):
    text = (HERE / f"{name}.sql").read_text().replace("256.0", f"{options.most}.0").replace("LIMIT 64", f"LIMIT {options.matrix}")
    lines = [line for line in text.splitlines() if not line.strip().startswith("--")]
    return [part for part in "\n".join(lines).split(";") if part.strip()]


class Cost:
    """Says on standard error what each step takes of this process (of Spark, that is not what its executors take)."""

    def __init__(self, is_told):
        self.is_told = is_told
        self.since = self.now()

    def now(self):
        return time.monotonic(), time.process_time()

    def tell(self, step):
        (wall, cpu), (then, cpu_then) = self.now(), self.since
        if self.is_told:
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            print(f"{step}: {wall - then:.1f} s, {cpu - cpu_then:.1f} CPU-s, at most {most} MiB", file=sys.stderr)
        self.since = self.now()


def answer(engine, place, options, cost):
    for table in TABLES:
        engine.table(table, place, options.where)
    for statement in statements("views", options):
        engine.do(statement)
    cost.tell("views")
    answers = {}
    for name in QUESTIONS:
        [statement] = statements(name, options)
        answers[name] = engine.ask(statement)
        cost.tell(name)
    return answers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--where", metavar="CONDITION", help="only what lies in such folders")
    parser.add_argument("--matrix", metavar="N", type=int, default=64, help="so many of the largest domains are held against one another")
    parser.add_argument("--cost", action="store_true", help="say what each step takes")
    parser.add_argument("engine", choices=["duckdb", "spark"])
    parser.add_argument("most", metavar="MAX_PAGE_SHARING", type=int)
    parser.add_argument("places", metavar="PLACE", nargs="+")
    options = parser.parse_args()
    cost = Cost(options.cost)
    engine = {"duckdb": DuckDb, "spark": Spark}[options.engine](options.places)
    try:
        answers = [answer(engine, place, options, cost) for place in options.places]
    finally:
        engine.close()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()

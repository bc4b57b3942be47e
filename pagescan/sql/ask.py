"""Asks an engine the questions in this directory of tables that `pagescan export --parquet` wrote.

    python3 ask.py duckdb|spark MAX_PAGE_SHARING DIR...

Prints a list of the answers as JSON, those about each directory an object. The SQL is the same for both engines.
"""

import json
import pathlib
import sys

TABLES = ["snapshots", "frames", "files", "processes", "mappings", "pages"]
QUESTIONS = ["classes", "savings", "matrix", "lifetimes"]
HERE = pathlib.Path(__file__).parent


class DuckDb:
    def __init__(self):
        import duckdb

        self.engine = duckdb.connect()

    def table(self, name, directory):
        files = str(directory / "*.parquet").replace("'", "''")
        self.engine.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet('{files}')")

    def do(self, statement):
        self.engine.execute(statement)

    def ask(self, statement):
        return [list(row) for row in self.engine.execute(statement).fetchall()]


class Spark:
    def __init__(self):
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        self.engine = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
        self.engine.sparkContext.setLogLevel("ERROR")

    def table(self, name, directory):
        self.engine.catalog.clearCache()
        self.engine.read.parquet(str(directory)).createOrReplaceTempView(name)

    def do(self, statement):
        self.engine.sql(statement)
        # Otherwise each question would work out all views anew.
        self.engine.catalog.cacheTable(statement.split(" VIEW ")[1].split()[0])

    def ask(self, statement):
        return [list(row) for row in self.engine.sql(statement).collect()]


def statements(name, most):
    text = (HERE / f"{name}.sql").read_text().replace("256.0", f"{most}.0")
    lines = [line for line in text.splitlines() if not line.strip().startswith("--")]
    return [part for part in "\n".join(lines).split(";") if part.strip()]


def main(engine, most, *directories):
    engine = {"duckdb": DuckDb, "spark": Spark}[engine]()
    answers = []
    for directory in directories:
        for table in TABLES:
            engine.table(table, pathlib.Path(directory) / table)
        for statement in statements("views", most):
            engine.do(statement)
        answer = {}
        for name in QUESTIONS:
            [statement] = statements(name, most)
            answer[name] = engine.ask(statement)
        answers.append(answer)
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])

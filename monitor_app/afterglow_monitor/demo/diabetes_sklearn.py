"""Demo job 2: scikit-learn with MLflow's autologging, on data that Spark prepares inside each run.

The data is scikit-learn's diabetes set (442 patients). One run has a nested one, and one fails on purpose. Two models
become versions of a registered one.
"""

import mlflow
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge


def main() -> None:
    spark = SparkSession.builder.appName("diabetes-progression").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    mlflow.set_experiment("diabetes progression")
    mlflow.sklearn.autolog(log_models=False, log_datasets=False)
    patients = spark.createDataFrame(load_diabetes(as_frame=True).frame).repartition(4)

    with mlflow.start_run(run_name="ridge"):
        mlflow.set_tag("team", "cardio")
        prepared = prepare(patients)
        ridge = Ridge(alpha=0.1).fit(prepared.drop(columns="target"), prepared["target"])
        register(ridge)
        with mlflow.start_run(run_name="ridge, men only", nested=True):
            men = prepare(patients.where(F.col("sex") > 0))
            Ridge(alpha=0.1).fit(men.drop(columns="target"), men["target"])

    with mlflow.start_run(run_name="random forest"):
        prepared = prepare(patients)
        forest = RandomForestRegressor(n_estimators=30, max_depth=5, random_state=7)
        forest.fit(prepared.drop(columns="target"), prepared["target"])
        register(forest)
        ranked = sorted(zip(forest.feature_importances_, prepared.columns, strict=False), reverse=True)
        mlflow.log_text("\n".join(f"{share:.3f}  {name}" for share, name in ranked), "importance.txt")

    try:
        with mlflow.start_run(run_name="a column that is not there"):
            prepare(patients.withColumn("checked", F.raise_error(F.lit("the laboratory sent no values"))))
    except Exception as exc:  # noqa: BLE001 - the failed run is what this is here to show
        print(f"As intended, this run failed: {type(exc).__name__}")  # noqa: T201
    spark.stop()


def prepare(patients: DataFrame):  # type: ignore[no-untyped-def]
    """Standing in for real preparation: bands of body mass, and the group's mean beside each patient."""
    banded = patients.withColumn("band", F.round(F.col("bmi") * 20))
    means = banded.groupBy("band").agg(F.avg("bp").alias("band_bp"))
    return banded.join(means, "band").toPandas()


def register(model: Ridge | RandomForestRegressor) -> None:
    # Left to itself MLflow takes half a minute to find out what the model needs, and saves no trees.
    mlflow.sklearn.log_model(
        model,
        name="model",
        registered_model_name="diabetes progression",
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
    )


if __name__ == "__main__":
    main()

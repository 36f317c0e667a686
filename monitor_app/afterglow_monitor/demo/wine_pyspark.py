"""Demo job 1: pyspark.ml with MLflow's autologging, on scikit-learn's wine data (178 wines, 13 measurements).

Three things that a job may do: fit a model, tune one with a cross validation (its candidates become child runs), and
start a second run in the same application. Nothing in it knows of Afterglow.
"""

import mlflow
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import SparkSession
from sklearn.datasets import load_wine


def main() -> None:
    spark = SparkSession.builder.appName("wine-quality").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    mlflow.set_experiment("wine quality")
    mlflow.set_experiment_tag("mlflow.experiment.primaryMetric.name", "test_accuracy")
    mlflow.pyspark.ml.autolog(log_models=False)
    wine = load_wine(as_frame=True).frame.rename(columns={"target": "label"})
    features = [name for name in wine.columns if name != "label"]
    assembled = VectorAssembler(inputCols=features, outputCol="features").transform(spark.createDataFrame(wine))
    train, test = assembled.select("features", "label").randomSplit([0.8, 0.2], seed=7)
    train.cache().count()
    evaluator = MulticlassClassificationEvaluator(metricName="accuracy")

    with mlflow.start_run(run_name="logistic regression"):
        model = LogisticRegression(maxIter=10).fit(train)
        mlflow.log_metric("test_accuracy", evaluator.evaluate(model.transform(test)))
        mlflow.set_tag("stage", "baseline")

    with mlflow.start_run(run_name="tuned by cross validation"):
        regression = LogisticRegression(maxIter=10)
        grid = ParamGridBuilder().addGrid(regression.regParam, [0.0, 0.1]).build()
        tuned = CrossValidator(
            estimator=regression, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=7
        ).fit(train)
        mlflow.log_metric("test_accuracy", evaluator.evaluate(tuned.transform(test)))

    with mlflow.start_run(run_name="class balance"):
        shares = {str(row["label"]): row["count"] for row in train.groupBy("label").count().collect()}
        mlflow.log_params({f"class_{label}": count for label, count in shares.items()})
        mlflow.log_dict(shares, "balance.json")
    spark.stop()


if __name__ == "__main__":
    main()

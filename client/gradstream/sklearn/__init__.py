"""Estimators of scikit-learn that are trained on a gradstream server. Needs the extra `sklearn`.

    from gradstream.sklearn import GradstreamRegressor

    model = GradstreamRegressor(server="127.0.0.1:50051").fit(X, y)
    model.predict(X)

docs/scikit-learn.md tells more.
"""

try:
    import sklearn  # noqa: F401  # whether it is there is all that is asked
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "scikit-learn is not installed; install it with: pip install 'gradstream[sklearn]'"
    ) from error

from gradstream.sklearn.classifier import GradstreamClassifier
from gradstream.sklearn.regressor import GradstreamRegressor

__all__ = ["GradstreamClassifier", "GradstreamRegressor"]

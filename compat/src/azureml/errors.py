"""Exceptions of the SDK that Stepwell has no use for itself: code catches them by these names."""

from __future__ import annotations

from stepwell.errors import StepFailedException, StepwellError, UserErrorException


class AuthenticationException(UserErrorException):
    """Somebody could not be told who they are."""


class RunConfigurationException(StepwellError):
    """A run configuration does not hold together."""


class ProjectSystemException(StepwellError):
    """A project folder is not as it should be."""


class TrainingException(StepwellError):
    """A training could not be started."""


class ParallelRunException(StepFailedException):
    """A parallel run failed."""


class ImageException(StepwellError):
    """An image could not be made."""


class KeyVaultException(StepwellError):
    """A secret could not be read or kept."""


class ScenarioException(StepwellError):
    """A scenario is not supported."""


class AutoMLException(StepwellError):
    """An automated search failed."""

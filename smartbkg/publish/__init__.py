"""Trained files → payloads, interval of validity, tag: all of it or nothing, in one transaction of a store or server.

`read_trained` says what a folder holds and checks that its files belong together; `publish` puts them into a tag.
"""

from smartbkg.publish.config import Publication, PublishConfig
from smartbkg.publish.folder import publish_trained, read_trained
from smartbkg.publish.gatgap import publish_gatgap
from smartbkg.publish.multiskim import publish_multiskim
from smartbkg.publish.trained import TrainedFiles

__all__ = [
    "Publication",
    "PublishConfig",
    "TrainedFiles",
    "publish_gatgap",
    "publish_multiskim",
    "publish_trained",
    "read_trained",
]

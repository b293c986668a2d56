"""Simulation and reconstruction: generated events to tracks, clusters, K_S and pi0 candidates."""

from smartbkg.detector.config import DetectorConfig
from smartbkg.detector.fast import Detector, FastDetector, simulate
from smartbkg.detector.reco import RecoBatch, RecoWriter, read_reco, read_reco_batches

__all__ = [
    "Detector",
    "DetectorConfig",
    "FastDetector",
    "RecoBatch",
    "RecoWriter",
    "read_reco",
    "read_reco_batches",
    "simulate",
]

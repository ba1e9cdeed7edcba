"""A real gRPC server with the standard health service, in a thread of the test."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class GrpcServer:
    """``pair``: key and certificate, to speak over TLS."""

    def __init__(self, pair: tuple[bytes, bytes] | None = None, *, healthy: bool = True) -> None:
        self.server = grpc.server(ThreadPoolExecutor(max_workers=2))
        self.health = health.HealthServicer()
        if healthy:
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        if pair is None:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            credentials = grpc.ssl_server_credentials([pair])
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def say(self, status: int, service: str = "") -> None:
        self.health.set(service, status)

    def stop(self) -> None:
        self.server.stop(None)

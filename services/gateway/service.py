"""The gateway: HTTP and JSON at the edge, gRPC behind it, and no business rule."""

from services.gateway.edge import Edge


class GatewayService:
    name = "gateway"

    edge = Edge()

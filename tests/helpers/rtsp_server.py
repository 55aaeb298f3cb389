"""A real RTSP server on loopback: Motion JPEG over RTP, looped from numbered pictures. For the system's Python.

    /usr/bin/python3 rtsp_server.py <port> <folder of 0.jpg, 1.jpg, ...> [<user> <password>]

It prints its port; 0 takes a free one. With a password it asks for Digest authentication.

Exits with 3 where Debian's packages are not installed: python3-gi gir1.2-gst-rtsp-server-1.0
gstreamer1.0-plugins-base gstreamer1.0-plugins-good.
"""

import sys

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as error:
    print(error, file=sys.stderr)
    sys.exit(3)

# The payloader takes 4:2:0 only, hence the way over I420.
PIPELINE = (
    "( multifilesrc location={folder}/%d.jpg loop=true caps=image/jpeg,framerate=(fraction)15/1 ! jpegdec "
    "! videoconvert ! video/x-raw,format=I420 ! identity sync=true ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
ELEMENTS = ("multifilesrc", "jpegdec", "videoconvert", "identity", "jpegenc", "rtpjpegpay")


def main(port: str, folder: str, user: str = "", password: str = "") -> None:
    Gst.init(None)
    missing = [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]
    if missing:
        print(f"GStreamer has no {', '.join(missing)}", file=sys.stderr)
        sys.exit(3)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(PIPELINE.format(folder=folder))
    if user:
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        guard = GstRtspServer.RTSPAuth()
        guard.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        guard.add_digest(user, password, token)
        server.set_auth(guard)
        rights = GstRtspServer.RTSPPermissions()
        for right in ("access", "construct"):
            rights.add_permission_for_role("viewer", f"media.factory.{right}", True)
        factory.set_permissions(rights)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main(*sys.argv[1:])

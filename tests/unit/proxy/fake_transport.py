"""A transport that keeps what it is told, and delivers nothing by itself."""


class FakeTransport:
    def __init__(self):
        self.said = []
        self.written = b""
        self.reading = True
        self.closing = False
        self.protocol = None

    def write(self, data):
        self.said.append("write")
        self.written += data

    def write_eof(self):
        self.said.append("eof")

    def can_write_eof(self):
        return True

    def close(self):
        self.said.append("close")
        self.closing = True

    def abort(self):
        self.said.append("abort")
        self.closing = True

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def set_protocol(self, protocol):
        self.protocol = protocol

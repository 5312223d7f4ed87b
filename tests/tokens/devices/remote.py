# SPDX-License-Identifier: Apache-2.0
"""A SoftHSM token behind p11-kit's remoting: the module is p11-kit-client, the token lives in the server. p11-kit 0.24 hides the
mechanisms that it does not know, EdDSA among them."""
import os

from devices.device import absent, library, program, until
from devices.softhsm import MODULE, SoftHSM

CLIENT = ("pkcs11/p11-kit-client.so",)


class Remote(SoftHSM):
    name = "remote"
    can = {**SoftHSM.can, "init": False, "ed25519": False}
    known = ["mechanisms that p11-kit does not know"]
    provider = None  # what the server serves; SoftHSM when None

    @staticmethod
    def missing():
        return absent(["softhsm2-util", "p11-kit"], [MODULE, CLIENT])

    def start(self):
        super().start()
        self.serve()
        self.module = library(*CLIENT)
        self.env["P11_KIT_SERVER_ADDRESS"] = "unix:path=" + self.path("server.sock")

    def serve(self):
        server = self.child(program("p11-kit"), "server", "-f", "-n", self.path("server.sock"), "--provider", self.provider or self.module,
                            f"pkcs11:token={self.label}", start_new_session=True)
        until(lambda: os.path.exists(self.path("server.sock")), "p11-kit's server")
        return server

    def again(self):
        raise NotImplementedError("one server serves one token")

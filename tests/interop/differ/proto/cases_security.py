"""Requests of authentication and authorization to a broker that has neither."""
from context import case

HELLO = {"ClientSoftwareName": "differ", "ClientSoftwareVersion": "1.0"}


@case("security/sasl", texts=True)
def sasl(t):
    """A client that expects SASL, on a listener without."""
    for v in t.versions("SaslHandshake"):
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "", "x" * 1000):
            c = t.fresh()
            t.do("handshake v%d %.20s" % (v, mechanism), "SaslHandshake", v, {"Mechanism": mechanism}, on=c)
            t.do("handshake v%d %.20s again" % (v, mechanism), "SaslHandshake", v, {"Mechanism": mechanism}, on=c)
            t.do("authenticate after handshake v%d %.20s" % (v, mechanism), "SaslAuthenticate", 1, {"AuthBytes": b"\0a\0b"}, on=c)
            t.do("ApiVersions after handshake v%d %.20s" % (v, mechanism), "ApiVersions", 3, HELLO, on=c, only=["ErrorCode"])
            t.do("Metadata after handshake v%d %.20s" % (v, mechanism), "Metadata", 9, {"Topics": []}, on=c, only=["Topics"])
    c = t.fresh()
    t.do("handshake v0", "SaslHandshake", 0, {"Mechanism": "PLAIN"}, on=c)
    c.send(b"\0\0\0\4\0a\0b")                     # bare tokens follow the handshake of version 0
    t.see("a bare token", c.answer(36, 0, limit=3).outcome)


@case("security/acls", texts=True)
def acls(t):
    for v in t.versions("DescribeAcls"):
        for kind, pattern, operation, permission in ((1, 1, 1, 1), (2, 3, 2, 3), (2, 0, 1, 1), (2, 9, 1, 1), (99, 3, 99, 99), (2, 4, 3, 2)):
            what = {"ResourceTypeFilter": kind, "ResourceNameFilter": "a", "PatternTypeFilter": pattern, "PrincipalFilter": "User:a", "HostFilter": None, "Operation": operation, "PermissionType": permission}
            label = "v%d %s" % (v, (kind, pattern, operation, permission))
            t.do("describe " + label, "DescribeAcls", v, what, on=t.fresh())
            t.do("delete " + label, "DeleteAcls", v, {"Filters": [what, what]}, on=t.fresh())
            one = {"ResourceType": kind, "ResourceName": "a", "ResourcePatternType": pattern, "Principal": "User:a", "Host": "*", "Operation": operation, "PermissionType": permission}
            t.do("create " + label, "CreateAcls", v, {"Creations": [one, {**one, "ResourceType": 2, "ResourcePatternType": 3}]}, on=t.fresh())


@case("security/tokens", texts=True)
def tokens(t):
    for v in t.versions("CreateDelegationToken"):
        for kind, name in (("User", "a"), (None, "a"), ("User", None), ("", ""), (None, None), ("Group", "a")):
            t.do("create v%d for %s %s" % (v, kind, name), "CreateDelegationToken", v, {"OwnerPrincipalType": kind, "OwnerPrincipalName": name, "MaxLifetimeMs": -1}, on=t.fresh())
    for v in t.versions("DescribeDelegationToken"):
        t.do("describe v%d" % v, "DescribeDelegationToken", v, {"Owners": None}, on=t.fresh())


@case("security/envelope", texts=True)
def envelope(t):
    inner = t.main.request(3, 9, {"Topics": []})[4:]
    for principal in (None, b"", b"\0\0\5User\012ANONYMOUS\0\0"):
        t.do("an envelope from %r" % principal, "Envelope", 0, {"RequestData": inner, "RequestPrincipal": principal, "ClientHostAddress": b"\x7f\0\0\1"}, on=t.fresh())

/* The numbers of ZooKeeper's protocol: operations, results, event types, permissions. */
#pragma once

enum zk_op {
    OP_ERROR = -1,
    OP_CREATE_SESSION = -10,
    OP_CLOSE_SESSION = -11,
    OP_CREATE = 1,
    OP_DELETE = 2,
    OP_EXISTS = 3,
    OP_GET_DATA = 4,
    OP_SET_DATA = 5,
    OP_GET_ACL = 6,
    OP_SET_ACL = 7,
    OP_GET_CHILDREN = 8,
    OP_SYNC = 9,
    OP_PING = 11,
    OP_GET_CHILDREN2 = 12,
    OP_CHECK = 13,
    OP_MULTI = 14,
    OP_CREATE2 = 15,
    OP_CHECK_WATCHES = 17,
    OP_REMOVE_WATCHES = 18,
    OP_MULTI_READ = 22,
    OP_AUTH = 100,
    OP_SET_WATCHES = 101,
    OP_GET_EPHEMERALS = 103,
    OP_GET_ALL_CHILDREN_NUMBER = 104,
    OP_SET_WATCHES2 = 105,
    OP_ADD_WATCH = 106,
    OP_WHO_AM_I = 107
};

enum zk_result {
    ZK_OK = 0,
    ZK_RUNTIME_INCONSISTENCY = -2,
    ZK_MARSHALLING_ERROR = -5,
    ZK_UNIMPLEMENTED = -6,
    ZK_BAD_ARGUMENTS = -8,
    ZK_NO_NODE = -101,
    ZK_NO_AUTH = -102,
    ZK_BAD_VERSION = -103,
    ZK_NO_CHILDREN_FOR_EPHEMERALS = -108,
    ZK_NODE_EXISTS = -110,
    ZK_NODE_NOT_EMPTY = -111,
    ZK_INVALID_ACL = -114,
    ZK_AUTH_FAILED = -115,
    ZK_NO_WATCHER = -121
};

enum zk_event { EVENT_CREATED = 1, EVENT_DELETED = 2, EVENT_DATA_CHANGED = 3, EVENT_CHILD = 4 };

enum zk_permission {
    PERM_READ = 1,
    PERM_WRITE = 2,
    PERM_CREATE = 4,
    PERM_DELETE = 8,
    PERM_ADMIN = 16,
    PERM_ALL = 31
};

enum zk_create_flag { CREATE_EPHEMERAL = 1, CREATE_SEQUENCE = 2 }; /* 4 to 6: containers and TTLs */

enum zk_xid { XID_EVENT = -1, XID_PING = -2, XID_AUTH = -4, XID_SET_WATCHES = -8 };

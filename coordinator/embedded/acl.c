/* Who may do what: the schemes world, auth, digest and ip. */
#include <arpa/inet.h>
#include <openssl/evp.h>

#include "coordinator/embedded/core_internal.h"

static void auth_push(struct core_connection *c, const char *scheme, char *id)
{
    for (size_t i = 0; i < c->auths_count; i++)
        if (strcmp(c->auths[i].scheme, scheme) == 0 && strcmp(c->auths[i].id, id) == 0) {
            free(id);
            return;
        }
    c->auths = mem_resize(c->auths, (c->auths_count + 1) * sizeof *c->auths);
    c->auths[c->auths_count++] = (struct core_auth){mem_strdup(scheme), id};
}
void auths_done(struct core_connection *c)
{
    for (size_t i = 0; i < c->auths_count; i++) {
        free(c->auths[i].scheme);
        free(c->auths[i].id);
    }
    free(c->auths);
    c->auths = NULL;
    c->auths_count = 0;
}
/* "user:password" -> "user:base64(sha1(user:password))" */
static char *digest_of(struct slice credentials)
{
    uint8_t sum[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!EVP_Digest(credentials.data, credentials.size, sum, &size, EVP_sha1(), NULL))
        return NULL;
    EVP_EncodeBlock(text, sum, (int)size);
    const uint8_t *colon = memchr(credentials.data, ':', credentials.size);
    size_t user = colon ? (size_t)(colon - credentials.data) : credentials.size;
    return mem_printf("%.*s:%s", (int)user, (const char *)credentials.data, (const char *)text);
}
int32_t auth_add(struct core_connection *c, struct slice scheme, struct slice credentials)
{
    if (slice_equal_str(scheme, "ip"))
        return ZK_OK; /* every connection has it from the start */
    if (!slice_equal_str(scheme, "digest") || !credentials.data)
        return ZK_AUTH_FAILED;
    char *id = digest_of(credentials);
    if (!id)
        return ZK_AUTH_FAILED;
    auth_push(c, "digest", id);
    return ZK_OK;
}
void core_connection_init(struct core_connection *c, const char *address)
{
    *c = (struct core_connection){0};
    watcher_init(&c->watcher, core_notify);
    if (address)
        auth_push(c, "ip", mem_strdup(address));
}

/* ---- ACLs ---- */

struct acl_entry {
    int32_t permissions;
    struct slice scheme, id;
};
static struct acl_entry entry_read(struct jute_in *in)
{
    struct acl_entry entry = {.permissions = jute_int(in)};
    entry.scheme = jute_bytes(in);
    entry.id = jute_bytes(in);
    return entry;
}
static void entry_put(struct buf *out, const struct acl_entry *entry)
{
    jute_put_int(out, entry->permissions);
    jute_put_bytes(out, entry->scheme);
    jute_put_bytes(out, entry->id);
}
/* "10.0.0.0/8" or a whole address. */
static bool ip_parse(struct slice text, struct in_addr *ret_address, int *ret_bits)
{
    char copy[INET6_ADDRSTRLEN + 4];
    int64_t bits = 32;
    const uint8_t *slash = text.data ? memchr(text.data, '/', text.size) : NULL;
    size_t size = slash ? (size_t)(slash - text.data) : text.size;
    if (size >= sizeof copy)
        return false;
    memcpy(copy, text.data, size);
    copy[size] = 0;
    if (slash && (!slice_to_int64(slice_of(slash + 1, text.size - size - 1), &bits) || bits < 0 ||
                  bits > 32))
        return false;
    *ret_bits = (int)bits;
    return inet_pton(AF_INET, copy, ret_address) == 1;
}
static bool ip_matches(const char *address, struct slice wanted)
{
    struct in_addr have, want;
    int bits, all;
    if (!ip_parse(wanted, &want, &bits) || !ip_parse(slice_str(address), &have, &all))
        return slice_equal_str(wanted, address);
    uint32_t mask = bits == 0 ? 0 : ~0u << (32 - bits);
    return ((ntohl(have.s_addr) ^ ntohl(want.s_addr)) & mask) == 0;
}
static bool entry_is_valid(const struct acl_entry *entry)
{
    struct in_addr address;
    struct in6_addr address6;
    int bits;
    if (!entry->id.data)
        return false;
    if (slice_equal_str(entry->scheme, "world"))
        return slice_equal_str(entry->id, "anyone");
    if (slice_equal_str(entry->scheme, "digest")) {
        const uint8_t *colon = memchr(entry->id.data, ':', entry->id.size);
        size_t user = colon ? (size_t)(colon - entry->id.data) : 0;
        return colon && user + 1 < entry->id.size &&
               !memchr(colon + 1, ':', entry->id.size - user - 1);
    }
    if (slice_equal_str(entry->scheme, "ip")) {
        OWNED_MEM char *text = slice_dup(entry->id);
        return ip_parse(entry->id, &address, &bits) || inet_pton(AF_INET6, text, &address6) == 1;
    }
    return false;
}
/* Put the entry unless it is among those that begin at `start` already; the count is kept there. */
static void entry_put_once(struct buf *out, size_t start, const struct acl_entry *entry)
{
    struct jute_in in = jute_in_of(slice_of(out->data + start, out->size - start));
    int32_t count = jute_int(&in);
    for (int32_t i = 0; i < count; i++) {
        struct acl_entry other = entry_read(&in);
        if (other.permissions == entry->permissions && slice_equal(other.scheme, entry->scheme) &&
            slice_equal(other.id, entry->id))
            return;
    }
    entry_put(out, entry);
    put_be32(out->data + start, (uint32_t)count + 1);
}
static bool entry_fix(const struct core_connection *c, const struct acl_entry *entry,
                      struct buf *out, size_t start)
{
    if (!slice_equal_str(entry->scheme, "auth")) {
        if (entry_is_valid(entry))
            entry_put_once(out, start, entry);
        return entry_is_valid(entry);
    }
    bool found = false;
    for (size_t i = 0; i < c->auths_count; i++) {
        if (strcmp(c->auths[i].scheme, "digest") != 0)
            continue; /* an address authenticates nobody */
        struct acl_entry own = {entry->permissions, slice_str(c->auths[i].scheme),
                                slice_str(c->auths[i].id)};
        entry_put_once(out, start, &own);
        found = true;
    }
    return found;
}
int32_t acl_fix(const struct core_connection *c, struct jute_in *in, struct buf *out)
{
    size_t start = out->size;
    int32_t count = jute_int(in);
    bool valid = count > 0;
    jute_put_int(out, 0);
    for (int32_t i = 0; i < count && !in->bad; i++) {
        struct acl_entry entry = entry_read(in);
        valid &= !in->bad && entry_fix(c, &entry, out, start);
    }
    return valid ? ZK_OK : ZK_INVALID_ACL;
}
bool acl_is_whole(struct slice acl)
{
    struct jute_in in = jute_in_of(acl);
    int32_t count = jute_int(&in);
    for (int32_t i = 0; i < count && !in.bad; i++)
        (void)entry_read(&in);
    return !in.bad && count >= 0 && in.at == in.end;
}
static bool entry_matches(const struct acl_entry *entry, const struct core_connection *c)
{
    if (slice_equal_str(entry->scheme, "world"))
        return true;
    for (size_t i = 0; i < c->auths_count; i++) {
        if (!slice_equal_str(entry->scheme, c->auths[i].scheme))
            continue;
        if (slice_equal_str(entry->id, c->auths[i].id) ||
            (slice_equal_str(entry->scheme, "ip") && ip_matches(c->auths[i].id, entry->id)))
            return true;
    }
    return false;
}
bool acl_allows(struct slice acl, const struct core_connection *c, int permission)
{
    struct jute_in in = jute_in_of(acl);
    int32_t count = jute_int(&in);
    for (int32_t i = 0; i < count && !in.bad; i++) {
        struct acl_entry entry = entry_read(&in);
        if ((entry.permissions & permission) && entry_matches(&entry, c))
            return true;
    }
    return false;
}
/* Without ADMIN the hashes of passwords are not shown. */
void acl_put_masked(struct buf *out, struct slice acl, const struct core_connection *c)
{
    if (acl_allows(acl, c, PERM_ADMIN)) {
        buf_put_slice(out, acl);
        return;
    }
    struct jute_in in = jute_in_of(acl);
    int32_t count = jute_int(&in);
    jute_put_int(out, count);
    for (int32_t i = 0; i < count; i++) {
        struct acl_entry entry = entry_read(&in);
        OWNED_MEM char *masked = NULL;
        if (slice_equal_str(entry.scheme, "digest")) {
            const uint8_t *colon = memchr(entry.id.data, ':', entry.id.size);
            masked = mem_printf("%.*s:x", colon ? (int)(colon - entry.id.data) : 0,
                                (const char *)entry.id.data);
            entry.id = slice_str(masked);
        }
        entry_put(out, &entry);
    }
}

#!/usr/bin/env python3
"""Makes C from the schemas: generate.py SCHEMA_DIR OUT_DIR

For each schema a header wire/NAME.h (structs and typed wrappers) and a source NAME.c (tables for the codec), and for all together
wire/all.h, wire/api_key.h and tables.c. The notation is described in README.md beside this file.
"""
import os
import re
import sys

SCALARS = {"bool": ("bool", "BOOL"), "int8": ("int8_t", "INT8"), "int16": ("int16_t", "INT16"), "uint16": ("uint16_t", "UINT16"),
           "int32": ("int32_t", "INT32"), "uint32": ("uint32_t", "UINT32"), "int64": ("int64_t", "INT64"),
           "float64": ("double", "FLOAT64"), "uuid": ("struct uuid", "UUID"), "string": ("struct slice", "STRING"),
           "bytes": ("struct slice", "BYTES"), "records": ("struct wire_records", "RECORDS")}
NEVER = 32767


def snake(name):
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def versions(text):
    """'3+', '0-12' or '4' as (first, last)."""
    if text.endswith("+"):
        return int(text[:-1]), NEVER
    first, _, last = text.partition("-")
    return int(first), int(last or first)


class Field:
    def __init__(self, where, line, message):
        words = line.split(None, 2)
        if len(words) < 2:
            sys.exit("%s: a field has a name and a type: %s" % (where, line))
        self.name, self.type = words[0], words[1]
        self.is_array = self.type.startswith("[]")
        if self.is_array:
            self.type = self.type[2:]
        self.first, self.last = message.first, NEVER
        self.nullable = (NEVER, -1)
        self.tag, self.default, self.ignorable, self.inflexible = -1, None, False, False
        nullable = None
        for word in (words[2].split(",") if len(words) > 2 else []):
            word = word.strip()
            kind, _, value = word.partition(" ")
            if re.match(r"\d", word):
                self.first, self.last = versions(word)
            elif kind == "nullable":
                nullable = value
            elif kind == "tag":
                self.tag = int(value)
            elif kind == "default":
                self.default = value
            elif word in ("ignorable", "inflexible"):
                setattr(self, word, True)
            else:
                sys.exit("%s: what is '%s'?" % (where, word))
        if nullable is not None:
            self.nullable = versions(nullable) if nullable else (0, NEVER)
        self.struct = None

    @property
    def is_pointer(self):
        return self.struct is not None and not self.is_array and self.nullable[1] >= 0


class Message:
    """A request, response, header or data: its structs in the order they must be declared, itself last."""

    def __init__(self, name, version_text, flexible):
        self.name, self.c_name = name, snake(name)
        self.first, self.last = versions(version_text)
        self.flexible = NEVER if flexible == "none" else int(flexible)
        self.fields, self.structs = [], {}

    def struct_name(self, type_name):
        return "%s_%s" % (self.c_name, snake(type_name))


class Struct:
    def __init__(self, c_name, name, fields):
        self.c_name, self.name, self.fields = c_name, name, fields


def parse(path):
    """The messages of one schema file, and its API key (None for data)."""
    key, api, messages, message, stack = None, None, [], None, []
    for number, raw in enumerate(open(path), 1):
        where, line = "%s:%d" % (path, number), raw.split("#")[0].rstrip()
        if not line:
            continue
        if not line.startswith(" "):
            words = line.split()
            kind = words[0]
            values = dict(zip(words[1:], words[2:]))
            if kind == "api":
                key, api = int(words[1]), words[2]
                api_versions, api_flexible = values["versions"], values["flexible"]
                continue
            if kind in ("request", "response"):
                name = api + kind.capitalize()
                message = Message(name, values.get("versions", api_versions), values.get("flexible", api_flexible))
            else:
                message = Message(words[1], values["versions"], values["flexible"])
            messages.append(message)
            stack = [(0, message.fields)]
            continue
        depth = (len(line) - len(line.lstrip())) // 4
        while len(stack) > depth:
            stack.pop()
        field = Field(where, line.strip(), message)
        stack[-1][1].append(field)
        if field.type not in SCALARS:
            field.struct = message.structs.get(field.type)
            if field.struct is None:
                field.struct = Struct(message.struct_name(field.type), field.type, [])
                message.structs[field.type] = field.struct
            stack.append((depth, field.struct.fields))
    for message in messages:
        message.order = order(message)
    return key, api, messages


def order(message):
    """Structs so that each comes after those it contains."""
    done = []

    def visit(struct):
        for field in struct.fields:
            if field.struct and field.struct not in done:
                visit(field.struct)
        if struct not in done:
            done.append(struct)

    visit(Struct(message.c_name, message.name, message.fields))
    return done


def c_type(field):
    if field.struct:
        return "struct " + field.struct.c_name
    return SCALARS[field.type][0]


def declare(message):
    out = []
    for struct in message.order:
        out.append("struct %s {" % struct.c_name)
        for field in struct.fields:
            if field.is_array:
                out.append("    %s *%s;" % (c_type(field), field.name))
                out.append("    int32_t %s_count;" % field.name)
            elif field.is_pointer:
                out.append("    %s *%s; /* NULL: null */" % (c_type(field), field.name))
            else:
                out.append("    %s %s;" % (c_type(field), field.name))
        if message.flexible != NEVER:
            out.append("    struct wire_tags unknown_tags;")
        elif not struct.fields:
            out.append("    char nothing;")
        out.append("};")
        out.append("")
    for struct in message.order:
        out.append("extern const struct wire_struct wire_struct_%s;" % struct.c_name)
        out.append("static inline void %s_init(struct %s *ret)" % (struct.c_name, struct.c_name))
        out.append("{\n    wire_init(&wire_struct_%s, ret);\n}\n" % struct.c_name)
    n = message.c_name
    out.append("extern const struct wire_message wire_message_%s;" % n)
    out.append("""
MUST_USE static inline enum err %s_decode(struct slice bytes, int16_t version, struct arena *arena,
                                          struct %s *ret, size_t *ret_used)
{
    return wire_decode(&wire_message_%s, bytes, version, arena, ret, ret_used);
}

MUST_USE static inline enum err %s_encode(struct buf *out, int16_t version, const struct %s *value)
{
    return wire_encode(&wire_message_%s, out, version, value);
}

static inline void %s_print(struct buf *out, int16_t version, const struct %s *value)
{
    wire_print(&wire_message_%s, out, version, value);
}
""" % ((n,) * 9))
    return "\n".join(out)


def default_of(field):
    if field.default in (None, "null"):
        return "0"
    return {"true": "1", "false": "0"}.get(field.default, field.default)


def initializer(fields):
    """A struct with its defaults, as wire_init() would fill it."""
    parts = []
    for f in fields:
        if f.is_array:
            if f.default == "null":
                parts.append(".%s_count = -1" % f.name)
        elif f.is_pointer:
            if f.default != "null":
                parts.append(".%s = (void *)&default_%s" % (f.name, f.struct.c_name))
        elif f.struct:
            parts.append(".%s = %s" % (f.name, initializer(f.struct.fields)))
        elif f.type in ("string", "bytes"):
            if f.default != "null":
                parts.append('.%s = {(const uint8_t *)"", 0}' % f.name)
        elif default_of(f) != "0":
            parts.append(".%s = %s" % (f.name, default_of(f)))
    return "{%s}" % ", ".join(parts or ["0"])


def define(message):
    out = []
    with_default = [f.struct for s in message.order for f in s.fields if f.is_pointer and f.default != "null"]
    for struct in message.order:
        if struct in with_default:
            out.append("static const struct %s default_%s = %s;" % (struct.c_name, struct.c_name, initializer(struct.fields)))
    for struct in message.order:
        c = struct.c_name
        if struct.fields:
            out.append("static const struct wire_field fields_%s[] = {" % c)
        for f in struct.fields:
            row = ['.name = "%s"' % f.name, ".type = WIRE_%s" % ("STRUCT" if f.struct else SCALARS[f.type][1]),
                   ".min_version = %d" % f.first, ".max_version = %d" % f.last,
                   ".nullable_min = %d" % f.nullable[0], ".nullable_max = %d" % f.nullable[1], ".tag = %d" % f.tag,
                   ".offset = offsetof(struct %s, %s)" % (c, f.name)]
            if f.is_array:
                row += [".is_array = true", ".count_offset = offsetof(struct %s, %s_count)" % (c, f.name)]
            if f.struct:
                row.append(".of = &wire_struct_%s" % f.struct.c_name)
            for flag in ("ignorable", "inflexible"):
                if getattr(f, flag):
                    row.append(".is_%s = true" % flag)
            if f.default == "null":
                row.append(".default_is_null = true")
            elif f.is_pointer:
                row.append(".default_struct = &default_%s" % f.struct.c_name)
            if default_of(f) != "0":
                row.append(".default_value = %s" % default_of(f))
            out.append("    {%s}," % ", ".join(row))
        if struct.fields:
            out.append("};")
        tags = "offsetof(struct %s, unknown_tags)" % c if message.flexible != NEVER else "WIRE_NO_TAGS"
        out.append("const struct wire_struct wire_struct_%s = {" % c)
        out.append('    .name = "%s", .fields = %s, .fields_count = %d, .tags_offset = %s,' %
                   (struct.name, "fields_" + c if struct.fields else "NULL", len(struct.fields), tags))
        out.append("    .size_bytes = sizeof(struct %s)," % c)
        out.append("};\n")
    out.append("const struct wire_message wire_message_%s = {" % message.c_name)
    out.append('    .name = "%s", .body = &wire_struct_%s,' % (message.name, message.c_name))
    out.append("    .min_version = %d, .max_version = %d, .flexible_version = %d,\n};\n" %
               (message.first, message.last, message.flexible))
    return "\n".join(out)


def write(path, text):
    """Only where it differs, so that what depends on it is not made anew."""
    if os.path.exists(path) and open(path).read() == text:
        return
    with open(path, "w") as file:
        file.write(text)


def main(schemas, out):
    os.makedirs(os.path.join(out, "wire"), exist_ok=True)
    apis, messages, names = [], [], []
    for name in sorted(os.listdir(schemas)):
        if not name.endswith(".api"):
            continue
        stem = name[:-4]
        key, api, found = parse(os.path.join(schemas, name))
        names.append(stem)
        messages += found
        if key is not None:
            apis.append((key, api, {m.name: m for m in found}))
        note = "/* Made by broker/wire/generate.py from schema/%s; not to be edited. */\n" % name
        write(os.path.join(out, "wire", stem + ".h"), note + "#pragma once\n\n#include \"broker/wire/wire.h\"\n\n" +
              "\n".join(declare(m) for m in found))
        write(os.path.join(out, stem + ".c"), note + "#include \"wire/%s.h\"\n\n" % stem + "\n".join(define(m) for m in found))
    apis.sort(key=lambda a: a[0])
    note = "/* Made by broker/wire/generate.py; not to be edited. */\n"
    write(os.path.join(out, "wire", "api_key.h"), note + "#pragma once\n\nenum api_key {\n" +
          "".join("    API_%s = %d,\n" % (snake(a).upper(), k) for k, a, _ in apis) + "};\n")
    write(os.path.join(out, "wire", "all.h"), note + "#pragma once\n\n" + "".join('#include "wire/%s.h"\n' % n for n in names))
    text = note + '#include "wire/all.h"\n\n'
    text += "const struct wire_message *const wire_messages[] = {\n%s};\n" % "".join(
        "    &wire_message_%s,\n" % m.c_name for m in messages)
    text += "const size_t wire_messages_count = sizeof wire_messages / sizeof wire_messages[0];\n\n"
    text += "static const struct wire_api apis[] = {\n"
    for key, api, found in apis:
        text += '    {%d, "%s", &wire_message_%s, &wire_message_%s},\n' % (
            key, api, snake(api + "Request"), snake(api + "Response"))
    text += """};

const struct wire_api *wire_api(int16_t api_key)
{
    size_t low = 0, high = sizeof apis / sizeof apis[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (apis[middle].api_key == api_key)
            return &apis[middle];
        if (apis[middle].api_key < api_key)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
"""
    write(os.path.join(out, "tables.c"), text)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

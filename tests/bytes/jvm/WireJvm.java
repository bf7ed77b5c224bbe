/* The JVM's side of the proof that we and it write the same bytes (see ../wire_jvm.sh).
 *
 *   WireJvm make MESSAGES SEED COUNT   MESSAGES has lines "name first last flexible"; writes lines
 *                                      "name version hex json" of random values. The versions must
 *                                      be those of the class.
 *   WireJvm check                      reads such lines; each must be read, wholly, and be written
 *                                      with the same bytes again.
 *
 * Values are made by reflection over the generated data classes: which fields a version has, and
 * which of them may be null, comes from the class's own SCHEMAS.
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.BaseRecords;
import org.apache.kafka.common.record.MemoryRecords;

public class WireJvm {
    static final String[] PLACES = {
        "org.apache.kafka.common.message.%sData", "org.apache.kafka.common.message.%s",
        "org.apache.kafka.coordinator.group.generated.%s", "org.apache.kafka.coordinator.transaction.generated.%s",
    };
    static Random random;

    static Class<?> find(String name) throws ClassNotFoundException {
        for (String place : PLACES) {
            try {
                return Class.forName(String.format(place, name));
            } catch (ClassNotFoundException e) {
                continue;
            }
        }
        throw new ClassNotFoundException(name);
    }

    /* Fields of a class in a version: name without underscores to type in the schema. */
    static Map<String, org.apache.kafka.common.protocol.types.Type> fieldsOf(Class<?> type, short version)
            throws Exception {
        Map<String, org.apache.kafka.common.protocol.types.Type> fields = new HashMap<>();
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        for (BoundField field : schemas[version].fields()) {
            if (field.def.type instanceof TaggedFields) {
                Field tagged = TaggedFields.class.getDeclaredField("fields");
                tagged.setAccessible(true);
                for (Object def : ((Map<?, ?>) tagged.get(field.def.type)).values())
                    fields.put(plain(((org.apache.kafka.common.protocol.types.Field) def).name),
                        ((org.apache.kafka.common.protocol.types.Field) def).type);
                fields.put("_unknownTaggedFields", field.def.type);
            } else {
                fields.put(plain(field.def.name), field.def.type);
            }
        }
        return fields;
    }

    static String plain(String name) {
        return name.replace("_", "").toLowerCase();
    }

    static String text() {
        StringBuilder text = new StringBuilder();
        for (int left = random.nextInt(random.nextInt(16) == 0 ? 200 : 12); left > 0; left--)
            text.append(random.nextInt(12) == 0 ? new String[] {"é", "€", "\"", "😀"}[random.nextInt(4)] : String.valueOf((char) (33 + random.nextInt(90))));
        return text.toString();
    }

    static byte[] bytes() {
        byte[] bytes = new byte[random.nextInt(random.nextInt(16) == 0 ? 200 : 12)];
        random.nextBytes(bytes);
        return bytes;
    }

    static long number() {
        return random.nextBoolean() ? random.nextInt(8) - 1 : random.nextLong();
    }

    static Object value(Type type, short version, String wireType) throws Exception {
        Class<?> plain = (Class<?>) (type instanceof ParameterizedType ? ((ParameterizedType) type).getRawType() : type);
        if (plain == boolean.class || plain == Boolean.class) return random.nextBoolean();
        if (plain == byte.class || plain == Byte.class) return (byte) number();
        if (plain == short.class || plain == Short.class) return (short) number();
        if (plain == int.class || plain == Integer.class)
            return wireType.equals("UINT16") ? (int) number() & 0xffff : (int) number();
        if (plain == long.class || plain == Long.class) return number();
        if (plain == double.class || plain == Double.class) return random.nextInt() / 8.0;
        if (plain == Uuid.class) return new Uuid(random.nextLong(), random.nextLong());
        if (plain == String.class) return text();
        if (plain == byte[].class) return bytes();
        if (plain == ByteBuffer.class) return ByteBuffer.wrap(bytes());
        if (plain == BaseRecords.class) return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
        if (Collection.class.isAssignableFrom(plain)) {
            Type element = plain == List.class ? ((ParameterizedType) type).getActualTypeArguments()[0]
                : ((ParameterizedType) plain.getGenericSuperclass()).getActualTypeArguments()[0];
            @SuppressWarnings("unchecked")
            Collection<Object> all = plain == List.class ? new ArrayList<>()
                : (Collection<Object>) plain.getConstructor(int.class).newInstance(8);
            for (int left = random.nextInt(4); left > 0; left--)
                all.add(value(element, version, ""));
            return all;
        }
        Object nested = plain.getConstructor().newInstance();
        fill(nested, version);
        return nested;
    }

    static void fill(Object object, short version) throws Exception {
        Map<String, org.apache.kafka.common.protocol.types.Type> fields = fieldsOf(object.getClass(), version);
        for (Field field : object.getClass().getDeclaredFields()) {
            if (Modifier.isStatic(field.getModifiers())) continue;
            field.setAccessible(true);
            if (field.getName().equals("_unknownTaggedFields")) {
                if (fields.containsKey("_unknownTaggedFields") && random.nextInt(4) == 0)
                    field.set(object, new ArrayList<>(List.of(new RawTaggedField(10000, bytes()), new RawTaggedField(10007, bytes()))));
                continue;
            }
            org.apache.kafka.common.protocol.types.Type type = fields.remove(plain(field.getName()));
            if (type == null) continue;
            if (type.isNullable() && random.nextInt(4) == 0)
                field.set(object, null);
            else if (random.nextInt(8) != 0 || field.get(object) == null && !type.isNullable())
                field.set(object, value(field.getGenericType(), version, type.toString()));
        }
        fields.remove("_unknownTaggedFields");
        if (!fields.isEmpty())
            throw new IllegalStateException(object.getClass() + " version " + version + " has no " + fields.keySet());
    }

    static String hex(byte[] bytes) {
        return bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
    }

    static byte[] encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }

    static Object json(Class<?> type, Message message, short version) throws Exception {
        Class<?> converter = Class.forName(type.getName() + "JsonConverter");
        for (Method method : converter.getMethods())
            if (method.getName().equals("write"))
                return method.getParameterCount() == 3 ? method.invoke(null, message, version, false)
                    : method.invoke(null, message, version);
        throw new NoSuchMethodException(converter.getName());
    }

    static int make(Path messages, long seed, int count, PrintStream out) throws Exception {
        random = new Random(seed);
        int wrong = 0;
        for (String line : Files.readAllLines(messages)) {
            String[] words = line.split(" ");
            Class<?> type = find(words[0]);
            Message probe = (Message) type.getConstructor().newInstance();
            if (probe.lowestSupportedVersion() != Short.parseShort(words[1])
                || probe.highestSupportedVersion() != Short.parseShort(words[2])) {
                System.err.println(line + ": the JVM has versions " + probe.lowestSupportedVersion() + " to "
                    + probe.highestSupportedVersion());
                wrong++;
            }
            for (short version = probe.lowestSupportedVersion(); version <= probe.highestSupportedVersion(); version++)
                for (int round = 0; round < count; round++) {
                    Message message = (Message) type.getConstructor().newInstance();
                    fill(message, version);
                    out.println(words[0] + " " + version + " " + hex(encode(message, version)) + " " + json(type, message, version));
                }
        }
        return wrong;
    }

    static int check(BufferedReader in) throws Exception {
        int lines = 0, wrong = 0;
        for (String line; (line = in.readLine()) != null; lines++) {
            String[] words = line.split(" ", 4);
            short version = Short.parseShort(words[1]);
            byte[] bytes = words[2].equals("-") ? new byte[0] : HexFormat.of().parseHex(words[2]);
            String fault = null;
            try {
                Message message = (Message) find(words[0]).getConstructor().newInstance();
                ByteBuffer buffer = ByteBuffer.wrap(bytes);
                message.read(new ByteBufferAccessor(buffer), version);
                if (buffer.hasRemaining()) fault = "not all bytes were used";
                else if (!Arrays.equals(encode(message, version), bytes)) fault = "other bytes: " + message;
            } catch (RuntimeException e) {
                fault = e.toString();
            }
            if (fault != null) {
                System.err.println(words[0] + " version " + version + ": " + fault + "\n  was " + line);
                wrong++;
            }
        }
        System.out.println(lines + " values, " + wrong + " wrong");
        return lines == 0 ? 1 : wrong;
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, StandardCharsets.UTF_8);
        int wrong = args[0].equals("make") ? make(Path.of(args[1]), Long.parseLong(args[2]), Integer.parseInt(args[3]), out)
            : check(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)));
        out.flush();
        System.exit(wrong == 0 ? 0 : 1);
    }
}

import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.log4j.AppenderSkeleton;
import org.apache.log4j.Level;
import org.apache.log4j.Logger;
import org.apache.log4j.spi.LoggingEvent;

/** As failover_gap.py, with Kafka's own producer and the settings that it has by itself: FailoverGap.java ADDRESSES TOPIC. */
public class FailoverGap extends AppenderSkeleton implements Callback {
    static final long EVERY_NS = 2_000_000;

    long count, lastNs, longestNs, endedNs;
    final List<Long> questions = new ArrayList<>();

    @Override
    public synchronized void onCompletion(RecordMetadata written, Exception error) {
        if (error != null) {
            System.err.println("a record was given up: " + error);
            Runtime.getRuntime().halt(1);
        }
        long now = System.nanoTime();            // CLOCK_MONOTONIC on Linux
        if (count > 0 && now - lastNs > longestNs) {
            longestNs = now - lastNs;
            endedNs = now;
        }
        lastNs = now;
        if (++count == 1)
            System.out.println("producing");
    }

    /** When the client asked for metadata, by what it says of itself. */
    @Override
    protected synchronized void append(LoggingEvent event) {
        if (event.getRenderedMessage().contains("Sending metadata request"))
            questions.add(System.nanoTime());
    }

    @Override
    public boolean requiresLayout() {
        return false;
    }

    @Override
    public void close() {
    }

    synchronized String report(long goneNs) {
        long asked = questions.stream().filter(ns -> ns > goneNs).findFirst().orElse(0L);
        return "acknowledged=" + count + " gap=" + longestNs / 1e9 + " ended_ns=" + endedNs + " asked_ns=" + asked;
    }

    static class Input extends Thread {
        volatile String text;

        @Override
        public void run() {
            try {
                text = new String(System.in.readAllBytes()).trim();
            } catch (java.io.IOException e) {
                text = "";
            }
        }
    }

    public static void main(String[] args) throws Exception {
        FailoverGap pauses = new FailoverGap();
        Logger client = Logger.getLogger("org.apache.kafka.clients.NetworkClient");
        client.setLevel(Level.DEBUG);
        client.setAdditivity(false);
        client.addAppender(pauses);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("linger.ms", "0");
        Input input = new Input();
        input.start();
        byte[] record = new byte[100];
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            long due = System.nanoTime();
            while (input.text == null) {
                producer.send(new ProducerRecord<>(args[1], 0, null, record), pauses);
                due = Math.max(due + EVERY_NS, System.nanoTime());
                for (long left; (left = due - System.nanoTime()) > 0; )
                    LockSupport.parkNanos(left);
            }
        }
        System.out.println(pauses.report(input.text.isEmpty() ? 0 : Long.parseLong(input.text)));
    }
}

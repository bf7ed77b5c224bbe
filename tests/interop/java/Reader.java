import java.time.Duration;
import java.util.Collections;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads partition 0 of a topic from its beginning with Kafka's own consumer until its standard input ends, and prints the value and
 * the offset of each record. Brokers may die under it. */
public class Reader {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("auto.offset.reset", "none");
        settings.put("enable.auto.commit", "false");
        settings.put("retry.backoff.ms", "20");
        settings.put("reconnect.backoff.ms", "20");
        settings.put("reconnect.backoff.max.ms", "200");
        settings.put("request.timeout.ms", "10000");
        AtomicBoolean ended = Input.ended();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            TopicPartition partition = new TopicPartition(args[1], 0);
            consumer.assign(Collections.singleton(partition));
            consumer.seek(partition, 0);
            while (!ended.get())
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200)))
                    System.out.println(record.value() + " " + record.offset());
        }
    }
}

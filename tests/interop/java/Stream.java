import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Writes 0, 1, 2, … to partition 0 of a topic with Kafka's own idempotent producer until its standard input ends, and prints a line
 * for each answer: the number and its offset, or the number and "-" with the error. Brokers may die under it. */
public class Stream {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("enable.idempotence", "true");
        settings.put("acks", "all");
        settings.put("linger.ms", "2");
        settings.put("batch.size", "2000");
        settings.put("buffer.memory", "400000");
        settings.put("retry.backoff.ms", "20");
        settings.put("retry.backoff.max.ms", "200");
        settings.put("reconnect.backoff.ms", "20");
        settings.put("reconnect.backoff.max.ms", "200");
        settings.put("request.timeout.ms", "10000");
        AtomicBoolean ended = Input.ended();
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        for (int i = 0; !ended.get(); i++) {
            String number = Integer.toString(i);
            producer.send(new ProducerRecord<>(args[1], 0, null, number), (written, error) ->
                System.out.println(error == null ? number + " " + written.offset() : number + " - " + error));
            if (i % 20 == 0)
                Thread.sleep(1);
        }
        producer.flush();
        producer.close();
    }
}

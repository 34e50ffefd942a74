// Reads the topics that you were granted, and prints each event once.
//
//     mvn -q dependency:copy-dependencies -DoutputDirectory=libs
//     java -cp 'libs/*' PartnerConsumer.java          until Ctrl-C
//     java -cp 'libs/*' PartnerConsumer.java 10       ten events, then stops
//
// An event is handled, then its offset is committed: after a crash it may come again, and is known by its `ce_id`.
// Your system keeps that id in the transaction that holds the effect; here it is a file.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.FileWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;

public class PartnerConsumer {
    private static final Path FOLDER = Path.of(System.getProperty("partner.folder", "."));

    public static void main(String[] arguments) throws Exception {
        int wanted = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 0;
        Properties read = new Properties();
        try (var lines = Files.newBufferedReader(FOLDER.resolve("partner.env"), UTF_8)) {
            read.load(lines);
        }
        if (read.getProperty("TOPICS").isEmpty()) {
            System.err.println("no topic in partner.env: ask for one to be granted");
            System.exit(1);
        }
        // The client asks for tokens at this address and no other.
        System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", read.getProperty("TOKEN_URL"));
        var consumer = new KafkaConsumer<String, String>(properties(read, wanted));
        var main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                main.join(5_000);
            } catch (InterruptedException ignored) {
                Thread.currentThread().interrupt();
            }
        }));
        try (consumer) {
            consumer.subscribe(List.of(read.getProperty("TOPICS").split(",")));
            consume(consumer, wanted);
        } catch (WakeupException stopped) {
            return;
        } catch (KafkaException refused) {
            System.err.println("stopped: " + refused.getMessage());
            Runtime.getRuntime().halt(1);
        }
    }

    /** Until `wanted` events (0: no end), or a wake-up. */
    private static void consume(KafkaConsumer<String, String> consumer, int wanted) throws Exception {
        Path file = FOLDER.resolve("seen.txt");
        Set<String> seen = new HashSet<>(Files.exists(file) ? Files.readAllLines(file) : List.of());
        int count = 0;
        try (Writer kept = new FileWriter(file.toFile(), UTF_8, true)) {
            while (wanted == 0 || count < wanted) {
                var records = consumer.poll(Duration.ofMillis(500));
                for (var record : records) {
                    Map<String, String> attributes = attributes(record);
                    String id = attributes.get("id");
                    if (id == null) {
                        System.err.println("skipped: no CloudEvent at " + record.topic());
                    } else if (seen.add(id)) {
                        handle(attributes, record.value());
                        kept.write(id + "\n");
                        kept.flush();
                        count++;
                    }
                }
                if (!records.isEmpty()) {
                    consumer.commitSync();
                }
            }
        }
    }

    /** Yours to write. `data` is JSON. */
    private static void handle(Map<String, String> attributes, String data) {
        System.out.println(attributes + " " + data);
    }

    private static Map<String, String> attributes(ConsumerRecord<String, String> record) {
        Map<String, String> attributes = new TreeMap<>();
        for (Header header : record.headers()) {
            if (header.key().startsWith("ce_") && header.value() != null) {
                attributes.put(header.key().substring(3), new String(header.value(), UTF_8));
            }
        }
        return attributes;
    }

    private static Properties properties(Properties read, int wanted) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", read.getProperty("KAFKA_BOOTSTRAP"));
        properties.put("security.protocol", read.getProperty("KAFKA_SECURITY_PROTOCOL"));
        if (!read.getProperty("KAFKA_CAFILE").isEmpty()) {
            properties.put("ssl.truststore.type", "PEM");
            properties.put("ssl.truststore.location", FOLDER.resolve(read.getProperty("KAFKA_CAFILE")).toString());
        }
        // Client credentials (RFC 6749, section 4.4); the client asks for a new token before one ends, and
        // re-authenticates its connections with it.
        properties.put("sasl.mechanism", "OAUTHBEARER");
        properties.put("sasl.oauthbearer.token.endpoint.url", read.getProperty("TOKEN_URL"));
        properties.put("sasl.oauthbearer.client.credentials.client.id", read.getProperty("CLIENT_ID"));
        properties.put("sasl.oauthbearer.client.credentials.client.secret", read.getProperty("CLIENT_SECRET"));
        properties.put("sasl.jaas.config",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required ;");
        properties.put("sasl.login.callback.handler.class",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler");
        properties.put("group.id", read.getProperty("GROUP"));
        properties.put("enable.auto.commit", "false");
        properties.put("max.poll.records", wanted > 0 ? 1 : 100);
        properties.put("auto.offset.reset", "earliest"); // a new group reads everything that is kept
        properties.put("key.deserializer", StringDeserializer.class.getName());
        properties.put("value.deserializer", StringDeserializer.class.getName());
        return properties;
    }
}

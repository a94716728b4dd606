package id.sinyal.peer;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.Set;

/** What the peer is told: a file of properties, each of which `key=value` on the command line overrides. */
public final class Settings {
    public final String bootstrap;
    /** The application's id, which names its consumer group and its internal topics. */
    public final String application;
    /** This instance's lasting name, for static membership; empty for none. */
    public final String instance;
    public final String posts;
    public final String comments;
    public final String classified;
    public final String metrics;
    public final String deadLetters;
    /** A queue's topic is this and the queue's name. */
    public final String queuePrefix;
    public final byte[] secret;
    /** What runs: `classify`, `community`. Both are one application with two sub-topologies. */
    public final Set<String> roles;
    public final int threads;
    /** `rocksdb` or `in-memory`. */
    public final String store;
    public final Path stateFolder;
    public final long commitIntervalMs;
    public final long cacheBytes;
    public final int batchBytes;
    /** After so long without a record nothing of what a consumer has read is still on its way to a task, in milliseconds. */
    public final long quietMs;
    public final long disorderMs;
    public final long holdMs;
    /** How late a change may come to each of the windows, in milliseconds. */
    public final long[] latenessMs;
    /** Further properties of Kafka Streams: what begins with `streams.`, without that. */
    public final Properties streams = new Properties();

    private Settings(Properties given) throws IOException {
        String prefix = given.getProperty("topics.prefix", "");
        String raw = given.getProperty("topics.raw.prefix", prefix);
        bootstrap = given.getProperty("bootstrap", "localhost:9092");
        application = given.getProperty("application", "sinyal-peer");
        instance = given.getProperty("instance", "");
        posts = raw + "social.posts.raw";
        comments = raw + "social.comments.raw";
        classified = prefix + "social.interactions.classified";
        metrics = prefix + "social.community.metrics";
        deadLetters = prefix + "social.dead-letters";
        queuePrefix = prefix + "social.queue.";
        String secretFile = given.getProperty("pseudonym.secret.file");
        if (secretFile == null) {
            throw new IllegalArgumentException("pseudonym.secret.file is missing");
        }
        secret = Files.readString(Path.of(secretFile)).stripTrailing().getBytes(java.nio.charset.StandardCharsets.UTF_8);
        roles = Set.of(given.getProperty("roles", "classify,community").split(","));
        threads = number(given, "threads", 1);
        store = given.getProperty("state.store", "rocksdb");
        if (!List.of("rocksdb", "in-memory").contains(store)) {
            throw new IllegalArgumentException("state.store is " + store + "; rocksdb or in-memory is right");
        }
        stateFolder = Path.of(given.getProperty("state.folder", "peer-state"));
        commitIntervalMs = number(given, "commit.interval.ms", 100);
        cacheBytes = number(given, "cache.bytes", 64 << 20);
        batchBytes = number(given, "batch.bytes", 128 << 10);
        quietMs = number(given, "quiet.ms", 30_000);
        disorderMs = number(given, "watermark.disorder.ms", 10_000);
        holdMs = number(given, "watermark.max.hold.ms", 300_000);
        String[] lateness = given.getProperty("lateness.ms", "300000,3600000,86400000,86400000").split(",");
        latenessMs = new long[lateness.length];
        for (int at = 0; at < lateness.length; at++) {
            latenessMs[at] = Long.parseLong(lateness[at].strip());
        }
        for (String name : given.stringPropertyNames()) {
            if (name.startsWith("streams.")) {
                streams.setProperty(name.substring("streams.".length()), given.getProperty(name));
            }
        }
    }

    /** Reads `key=value` arguments, and the file that `--config=FILE` names. */
    static Settings of(String[] arguments) throws IOException {
        Properties given = new Properties();
        for (String argument : arguments) {
            if (argument.startsWith("--config=")) {
                try (Reader file = Files.newBufferedReader(Path.of(argument.substring("--config=".length())))) {
                    given.load(file);
                }
            }
        }
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            if (equals < 0) {
                throw new IllegalArgumentException(argument + ": key=value is right");
            }
            if (!argument.startsWith("--")) {
                given.setProperty(argument.substring(0, equals), argument.substring(equals + 1));
            }
        }
        return new Settings(given);
    }

    private static int number(Properties given, String name, int otherwise) {
        String value = given.getProperty(name);
        return value == null ? otherwise : Integer.parseInt(value.strip());
    }
}

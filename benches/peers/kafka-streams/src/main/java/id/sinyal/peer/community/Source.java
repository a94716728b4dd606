package id.sinyal.peer.community;

/** A partition of a raw topic: event time is reckoned by source. */
public record Source(String topic, int partition) {}

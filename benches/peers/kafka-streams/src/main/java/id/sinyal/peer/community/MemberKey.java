package id.sinyal.peer.community;

/** A member's pseudonym: 16 bytes. */
record MemberKey(long high, long low) {
    @Override
    public int hashCode() {
        // It is a digest: any part of it will do.
        return (int) (low ^ high >>> 32);
    }
}

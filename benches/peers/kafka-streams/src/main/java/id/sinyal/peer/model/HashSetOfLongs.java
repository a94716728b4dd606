package id.sinyal.peer.model;

/** A fixed set of words by their hashes, without a box for each question. */
final class HashSetOfLongs {
    private final long[] places = new long[512];

    static HashSetOfLongs of(String words) {
        HashSetOfLongs set = new HashSetOfLongs();
        for (String word : words.split(" ")) {
            set.add(Words.hash(word));
        }
        return set;
    }

    boolean contains(long hash) {
        int at = place(hash);
        while (places[at] != 0) {
            if (places[at] == hash) {
                return true;
            }
            at = at + 1 & places.length - 1;
        }
        return false;
    }

    private void add(long hash) {
        int at = place(hash);
        while (places[at] != 0 && places[at] != hash) {
            at = at + 1 & places.length - 1;
        }
        places[at] = hash;
    }

    private int place(long hash) {
        return (int) (hash * 0x9e3779b97f4a7c15L >>> 55);
    }
}

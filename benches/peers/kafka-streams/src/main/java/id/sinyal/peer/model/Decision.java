package id.sinyal.peer.model;

/** What the classifier says of a text. Kept and filled anew. */
public final class Decision {
    public Label label = Label.OTHER;
    public final float[] probabilities = new float[Model.LABELS];
    public float confidence;
    public boolean abstained;
    public Language language = Language.UNDETERMINED;
    public boolean mixed;
    public boolean hasFingerprint;
    public long fingerprint;

    /** What is said of a text that is blank, or says nothing. */
    void blank() {
        java.util.Arrays.fill(probabilities, 0);
        probabilities[Label.OTHER.ordinal()] = 1;
        label = Label.OTHER;
        confidence = 1;
        abstained = false;
        language = Language.UNDETERMINED;
        mixed = false;
        hasFingerprint = false;
    }
}

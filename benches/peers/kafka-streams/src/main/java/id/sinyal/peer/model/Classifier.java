package id.sinyal.peer.model;

import id.sinyal.peer.wire.Span;
import id.sinyal.peer.wire.Utf8;
import java.util.Arrays;

/**
 * Sinyal's fast tier, number for number: every sum is taken in the same order, so that scores are the same to the bit. Keeps its
 * buffers: one instance per task, which one thread works on.
 */
public final class Classifier {
    private static final int WIDTH = Model.WIDTH;
    private static final int FILTERS = Model.FILTERS;
    /** By how much a word's score of one language must exceed the others to be clearly of it. */
    private static final float CLEAR = 1.5f;

    private final Model model;
    private final Normal normal = new Normal();
    private final Words words = new Words();
    private final Decision decision = new Decision();
    private final int[] sums = new int[WIDTH];
    private final int[] totals = new int[Model.HEADS];
    private float[] vectors = new float[64 * WIDTH];
    private final float[] found = new float[FILTERS];
    private final float[] most = new float[FILTERS];
    private final float[] whole = new float[FILTERS];
    private final float[] scores = new float[Model.HEADS];
    private final int[] clear = new int[Model.LANGUAGES];

    public Classifier(Model model) {
        this.model = model;
    }

    /** The model's name in records. */
    public byte[] modelVersion() {
        return model.version;
    }

    /** Decides a text that is not blank. The decision is good until the next call. */
    public Decision classify(byte[] bytes, long text) {
        normal.fill(bytes, Span.offset(text), Span.length(text));
        words.fill(normal);
        if (words.allStandFor()) {
            decision.blank();
        } else {
            sumWords();
            find();
            decide();
        }
        Fingerprint.of(normal, decision);
        return decision;
    }

    /** What is said where there is nothing to classify. */
    public Decision blank() {
        decision.blank();
        return decision;
    }

    /** Whether there is something to classify. */
    public static boolean isBlank(byte[] bytes, long text) {
        return Utf8.isBlank(bytes, text);
    }

    /** The vector of each word, and the direct scores. */
    private void sumWords() {
        int count = words.count;
        if (vectors.length < count * WIDTH) {
            vectors = new float[count * WIDTH * 2];
        }
        Arrays.fill(totals, 0);
        int features = 0;
        for (int word = 0; word < count; word++) {
            words.fillBuckets(normal, word);
            sumRows(model.rows, words.buckets, words.bucketCount, sums);
            float norm = norm(words.bucketCount);
            for (int at = 0; at < WIDTH; at++) {
                vectors[word * WIDTH + at] = sums[at] * (model.scales[at] * norm);
            }
            for (int at = 0; at < Model.HEADS; at++) {
                totals[at] += sums[at];
            }
            features += words.bucketCount;
        }
        float norm = norm(features);
        for (int at = 0; at < Model.HEADS; at++) {
            scores[at] = totals[at] * model.scales[at] * norm + model.biases[at];
        }
    }

    /** The sum of the rows of a word's buckets: four numbers at a time, in registers. */
    private static void sumRows(long[] rows, int[] buckets, int count, int[] sums) {
        long a = 0;
        long b = 0;
        long c = 0;
        long d = 0;
        long e = 0;
        long f = 0;
        long g = 0;
        long h = 0;
        for (int at = 0; at < count; at++) {
            int row = buckets[at] * Model.ROW;
            a += rows[row];
            b += rows[row + 1];
            c += rows[row + 2];
            d += rows[row + 3];
            e += rows[row + 4];
            f += rows[row + 5];
            g += rows[row + 6];
            h += rows[row + 7];
        }
        int raised = count * Model.RAISED_BY;
        spread(a, raised, sums, 0);
        spread(b, raised, sums, 4);
        spread(c, raised, sums, 8);
        spread(d, raised, sums, 12);
        spread(e, raised, sums, 16);
        spread(f, raised, sums, 20);
        spread(g, raised, sums, 24);
        spread(h, raised, sums, 28);
    }

    private static void spread(long lanes, int raised, int[] sums, int to) {
        sums[to] = (int) (lanes & 0xffff) - raised;
        sums[to + 1] = (int) (lanes >>> 16 & 0xffff) - raised;
        sums[to + 2] = (int) (lanes >>> 32 & 0xffff) - raised;
        sums[to + 3] = (int) (lanes >>> 48) - raised;
    }

    /** What the filters find, at most and on the whole, and what that adds to the labels' scores. */
    private void find() {
        int count = words.count;
        Arrays.fill(most, 0);
        Arrays.fill(whole, 0);
        float share = norm(count);
        for (int word = 0; word < count; word++) {
            filter(word, count);
            for (int filter = 0; filter < FILTERS; filter++) {
                float value = Math.max(found[filter], 0f);
                whole[filter] += value * share;
                most[filter] = Math.max(most[filter], value);
            }
        }
        for (int label = 0; label < Model.LABELS; label++) {
            float sum = 0;
            for (int filter = 0; filter < FILTERS; filter++) {
                int at = label * FILTERS + filter;
                sum += model.byMost[at] * most[filter] + model.byWhole[at] * whole[filter];
            }
            scores[label] += sum;
        }
    }

    private void filter(int word, int count) {
        System.arraycopy(model.filterBiases, 0, found, 0, FILTERS);
        for (int tap = 0; tap < Model.TAPS; tap++) {
            int from = word + tap - 1;
            if (from >= 0 && from < count) {
                for (int number = 0; number < WIDTH; number++) {
                    apply(vectors[from * WIDTH + number], model.filters[tap * WIDTH + number], found);
                }
            }
        }
    }

    private static void apply(float value, float[] weights, float[] found) {
        for (int filter = 0; filter < FILTERS; filter++) {
            found[filter] += value * weights[filter];
        }
    }

    private void decide() {
        float[] probabilities = decision.probabilities;
        float largest = Float.NEGATIVE_INFINITY;
        for (int label = 0; label < Model.LABELS; label++) {
            probabilities[label] = scores[label] / model.temperature;
            largest = Math.max(largest, probabilities[label]);
        }
        float sum = 0;
        for (int label = 0; label < Model.LABELS; label++) {
            probabilities[label] = (float) Math.exp(probabilities[label] - largest);
            sum += probabilities[label];
        }
        int best = 0;
        for (int label = 0; label < Model.LABELS; label++) {
            probabilities[label] /= sum;
            best = probabilities[label] > probabilities[best] ? label : best;
        }
        decision.label = Label.ALL[best];
        decision.confidence = probabilities[best];
        tellLanguage();
        decision.abstained = decision.confidence < model.thresholds[best] || decision.language == Language.OTHER;
    }

    private void tellLanguage() {
        int latin = normal.latin;
        int other = normal.otherLetters;
        decision.mixed = false;
        if (latin + other == 0) {
            decision.language = Language.UNDETERMINED;
            return;
        }
        int foreign = words.foreign();
        if (other > latin || foreign >= 2 && foreign * 6 >= words.count) {
            decision.language = Language.OTHER;
            decision.mixed = latin > 0 && other > 0;
            return;
        }
        Arrays.fill(clear, 0);
        for (int word = 0; word < words.count; word++) {
            countClear(word * WIDTH + Model.LABELS);
        }
        int best = 0;
        for (int language = 1; language < Model.LANGUAGES; language++) {
            best = scores[Model.LABELS + language] > scores[Model.LABELS + best] ? language : best;
        }
        int second = 0;
        for (int language = 0; language < Model.LANGUAGES; language++) {
            second = language == best ? second : Math.max(second, clear[language]);
        }
        decision.language = Language.ALL[best];
        decision.mixed = second >= 2 && second * 5 >= words.count;
    }

    private void countClear(int from) {
        int best = 0;
        for (int language = 1; language < Model.LANGUAGES; language++) {
            best = vectors[from + language] > vectors[from + best] ? language : best;
        }
        for (int language = 0; language < Model.LANGUAGES; language++) {
            if (language != best && !(vectors[from + best] - vectors[from + language] > CLEAR)) {
                return;
            }
        }
        clear[best]++;
    }

    /** What sums are multiplied by, so that many and few have sums of one size. */
    private static float norm(int count) {
        return 1.0f / (float) Math.sqrt(Math.max(count, 1));
    }
}

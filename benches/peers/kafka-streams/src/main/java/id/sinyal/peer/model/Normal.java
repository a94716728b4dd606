package id.sinyal.peer.model;

import id.sinyal.peer.wire.Utf8;
import java.util.Arrays;

/**
 * A text as the features see it, in UTF-8: lower case, words and signs apart by one blank, a blank at both ends, digits as 0, links
 * and addresses as masks, letters that were drawn out written once and noted. Kept and filled anew.
 */
final class Normal {
    private static final int CLASSIFIED_BYTES = 4096;
    private static final byte[] URL = {'u', 'r', 'l'};
    private static final byte[] EMAIL = {'e', 'm', 'a', 'i', 'l'};

    byte[] text = new byte[1024];
    int length;
    /** Letters that Unicode calls alphabetic, as far as they are Latin, and all others. */
    int latin;
    int otherLetters;
    private int[] elongations = new int[16];
    private int elongationCount;
    private int last;
    private int run;

    /** Normalises the classified part of a text: its first 4,096 bytes, up to a whole character. */
    void fill(byte[] bytes, int from, int count) {
        int end = from + count;
        if (count > CLASSIFIED_BYTES) {
            end = Utf8.boundary(bytes, from, from + CLASSIFIED_BYTES);
        }
        // A character may become three bytes where it was two, and each gets a blank before it.
        if (text.length < (end - from) * 3 + 16) {
            text = new byte[(end - from) * 3 + 16];
        }
        length = 0;
        elongationCount = 0;
        text[length++] = ' ';
        last = ' ';
        run = 0;
        int at = from;
        while (at <= end) {
            int tokenEnd = at;
            while (tokenEnd < end) {
                int code = Utf8.decode(bytes, tokenEnd);
                if (Utf8.isWhitespace(code)) {
                    break;
                }
                tokenEnd += Utf8.length(code);
            }
            token(bytes, at, tokenEnd);
            push(' ');
            if (tokenEnd >= end) {
                break;
            }
            at = tokenEnd + Utf8.length(Utf8.decode(bytes, tokenEnd));
        }
        if (last != ' ') {
            text[length++] = ' ';
        }
        countLetters();
    }

    /** Whether a letter of the word at {@code [start, end)} was drawn out. */
    boolean isElongated(int start, int end) {
        for (int at = 0; at < elongationCount; at++) {
            if (elongations[at] > start) {
                return elongations[at] <= end;
            }
        }
        return false;
    }

    private void token(byte[] bytes, int from, int to) {
        byte[] mask = mask(bytes, from, to);
        if (mask != null) {
            for (byte letter : mask) {
                push(letter);
            }
            return;
        }
        int at = from;
        while (at < to) {
            int code = bytes[at];
            if (code >= 0) {
                push(code >= 'A' && code <= 'Z' ? code + 32 : code);
                at++;
                continue;
            }
            code = Utf8.decode(bytes, at);
            at += Utf8.length(code);
            if (code == 0x130) {
                // The one character whose lower case is two.
                push('i');
                push(0x307);
            } else if (!isInvisible(code)) {
                push(Character.toLowerCase(code));
            }
        }
    }

    private void push(int code) {
        if (code >= '0' && code <= '9') {
            code = '0';
        } else if (code < ' ' || code >= 0x7f && (Utf8.isWhitespace(code) || Character.getType(code) == Character.CONTROL)) {
            code = ' ';
        }
        if (code == last) {
            run++;
            if (code == ' ' || run > 3) {
                return;
            }
            if (run == 3) {
                // Two are a spelling, three never are.
                if (Character.isAlphabetic(code)) {
                    length -= Utf8.length(code);
                    elongate();
                }
                return;
            }
        } else {
            run = 1;
            // A sign stands alone.
            boolean alone = isSign(code) != isSign(last);
            if (alone && code != ' ' && last != ' ') {
                text[length++] = ' ';
            }
            last = code;
        }
        write(code);
    }

    private void elongate() {
        if (elongationCount == elongations.length) {
            elongations = Arrays.copyOf(elongations, elongationCount * 2);
        }
        elongations[elongationCount++] = length;
    }

    private void write(int code) {
        if (code < 0x80) {
            text[length++] = (byte) code;
        } else if (code < 0x800) {
            text[length++] = (byte) (0xc0 | code >> 6);
            text[length++] = (byte) (0x80 | code & 0x3f);
        } else if (code < 0x10000) {
            text[length++] = (byte) (0xe0 | code >> 12);
            text[length++] = (byte) (0x80 | code >> 6 & 0x3f);
            text[length++] = (byte) (0x80 | code & 0x3f);
        } else {
            text[length++] = (byte) (0xf0 | code >> 18);
            text[length++] = (byte) (0x80 | code >> 12 & 0x3f);
            text[length++] = (byte) (0x80 | code >> 6 & 0x3f);
            text[length++] = (byte) (0x80 | code & 0x3f);
        }
    }

    private void countLetters() {
        latin = 0;
        otherLetters = 0;
        int at = 0;
        while (at < length) {
            int code = text[at];
            if (code >= 0) {
                latin += code >= 'a' && code <= 'z' ? 1 : 0;
                at++;
                continue;
            }
            code = Utf8.decode(text, at);
            at += Utf8.length(code);
            if (Character.isAlphabetic(code)) {
                boolean isLatin = code == 0xaa || code == 0xba || code >= 0xc0 && code <= 0x24f
                    || code >= 0x1e00 && code <= 0x1eff;
                latin += isLatin ? 1 : 0;
                otherLetters += isLatin ? 0 : 1;
            }
        }
    }

    /** What stands for a link or an address. */
    private static byte[] mask(byte[] bytes, int from, int to) {
        if (begins(bytes, from, to, "http://") || begins(bytes, from, to, "https://") || begins(bytes, from, to, "www.")) {
            return URL;
        }
        int at = from;
        while (at < to && bytes[at] != '@') {
            byte next = bytes[at];
            boolean isPart = next >= 'a' && next <= 'z' || next >= 'A' && next <= 'Z' || next >= '0' && next <= '9'
                || next == '.' || next == '_' || next == '+' || next == '-';
            if (!isPart) {
                return null;
            }
            at++;
        }
        if (at == from) {
            return null;
        }
        for (int dot = at; dot < to; dot++) {
            if (bytes[dot] == '.') {
                return EMAIL;
            }
        }
        return null;
    }

    private static boolean begins(byte[] bytes, int from, int to, String with) {
        if (to - from < with.length()) {
            return false;
        }
        for (int at = 0; at < with.length(); at++) {
            int next = bytes[from + at];
            if ((next >= 'A' && next <= 'Z' ? next + 32 : next) != with.charAt(at)) {
                return false;
            }
        }
        return true;
    }

    private static boolean isInvisible(int code) {
        return code == 0xad || code >= 0x200b && code <= 0x200f || code >= 0x202a && code <= 0x202e
            || code >= 0x2060 && code <= 0x2069 || code >= 0xfe00 && code <= 0xfe0f || code == 0xfeff;
    }

    private static boolean isSign(int code) {
        if (code < 0x80) {
            boolean isWord = code >= 'a' && code <= 'z' || code >= '0' && code <= '9' || code >= 'A' && code <= 'Z'
                || code == ' ' || code == '@' || code == '_' || code == '\'';
            return !isWord;
        }
        if (Character.isAlphabetic(code)) {
            return false;
        }
        int type = Character.getType(code);
        return type != Character.DECIMAL_DIGIT_NUMBER && type != Character.LETTER_NUMBER && type != Character.OTHER_NUMBER;
    }
}

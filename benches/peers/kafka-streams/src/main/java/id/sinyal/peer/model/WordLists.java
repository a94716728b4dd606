package id.sinyal.peer.model;

/** Lists of words, as Sinyal's fast tier has them ({@code crates/classify}). */
final class WordLists {
    /** What turns the words that follow into their opposite. */
    static final String NEGATIONS = "tidak tdk tak gak ga gk g gx ngga nggak ngk engga enggak kagak ndak gag bukan jangan belum blm "
        + "kurang tanpa ora ra dudu durung henteu teu lain no not never without can't cant don't dont didn't didnt doesn't "
        + "doesnt isn't wasn't won't";

    /** Small words of languages that are not served. */
    static final String FOREIGN = "el una que por pero muy esta está este como más porque también gracias hola donde cuando não muito "
        + "uma obrigado você isso foi são servicio bueno buena les des une est très avec pour dans c'est vous nous sont qui mais "
        + "merci che della sono molto questo grazie perché anche der das und ist nicht ich ein eine auch sehr mit für auf het een "
        + "niet ik zijn voor maar deze werkt ang mga hindi ako naman lang ito talaga yung salamat ninyo walang không là của và "
        + "rất được người này bir çok için değil teşekkürler";

    private WordLists() {}
}

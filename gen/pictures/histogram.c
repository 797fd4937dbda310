/* histogram: see histogram.h. A bin is [2^k, 2^(k+1)), the first one [0, 2). */
#include "gen/pictures/histogram.h"

enum { MOST_BINS = 63 };

typedef struct Bins {
    int     first, past; /* bins that are shown                                                */
    int64_t documents[MOST_BINS], tokens[MOST_BINS];
    double  most; /* the largest share of either                                               */
} Bins;

static int bin_of(int64_t length)
{
    int bin = 0;
    while (length >= 2) {
        length /= 2;
        bin++;
    }
    return bin;
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static Bins fill_bins(const Lengths *lengths)
{
    Bins bins = {0};
    if (lengths->ncounts == 0)
        return bins;
    bins.first = bin_of(lengths->counts[0].length);
    bins.past  = bin_of(lengths->counts[lengths->ncounts - 1].length) + 1;
    for (int i = 0; i < lengths->ncounts; i++) {
        int bin = bin_of(lengths->counts[i].length);
        bins.documents[bin] += lengths->counts[i].documents;
        bins.tokens[bin] += lengths->counts[i].documents * lengths->counts[i].length;
    }
    for (int bin = bins.first; bin < bins.past; bin++)
        bins.most = larger(bins.most, larger(share(bins.documents[bin], lengths->documents),
                                             share(bins.tokens[bin], lengths->tokens)));
    return bins;
}

static int64_t bin_start(int bin)
{
    return bin == 0 ? 0 : INT64_C(1) << bin;
}

static void text_bar(Text *out, double part, double most)
{
    enum { WIDTH = 24 };
    static const char marks[] = "########################";
    int               length  = most > 0 ? (int)(part / most * WIDTH + 0.5) : 0;
    text_add(out, "%5.1f%% %-*.*s", part * 100, WIDTH, length, marks);
}

void histogram_text(const Lengths *lengths, Text *out)
{
    Bins bins = fill_bins(lengths);
    text_add(out, "%13s  %-31s  %s\n", "from tokens", "documents", "tokens");
    for (int bin = bins.first; bin < bins.past; bin++) {
        text_add(out, "%13lld  ", (long long)bin_start(bin));
        text_bar(out, share(bins.documents[bin], lengths->documents), bins.most);
        text_add(out, "  ");
        text_bar(out, share(bins.tokens[bin], lengths->tokens), bins.most);
        while (out->at[out->length - 1] == ' ')
            out->at[--out->length] = 0;
        text_add(out, "\n");
    }
}

enum { LEFT = 50, BIN_WIDTH = 44, BAR_WIDTH = 18, TOP = 50, HEIGHT = 240, FOOT = 60 };

static void svg_bar(Text *out, int x, double part, double most, const char *colour)
{
    double height = most > 0 ? part / most * HEIGHT : 0;
    text_add(out,
             "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\">"
             "<title>%.2f%%</title></rect>\n",
             x, TOP + HEIGHT - height, BAR_WIDTH, height, colour, part * 100);
}

void histogram_svg(const Lengths *lengths, Text *out)
{
    static const char documents_colour[] = "#9db8d2", tokens_colour[] = "#2c5f8a";
    Bins              bins   = fill_bins(lengths);
    int               nbins  = bins.past - bins.first;
    int               width  = LEFT + (nbins > 8 ? nbins : 8) * BIN_WIDTH + 20;
    int               height = TOP + HEIGHT + FOOT;
    text_add(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
             "font-family=\"sans-serif\" font-size=\"11\">\n"
             "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
             "<text x=\"%d\" y=\"20\" font-size=\"14\">",
             width, height, LEFT);
    text_add(out, "%s", text_markup(out->region, lengths->name));
    text_add(out, ": %s, %s</text>\n", text_count(out->region, lengths->documents, "document"),
             text_count(out->region, lengths->tokens, "token"));
    text_add(out,
             "<text x=\"%d\" y=\"38\" fill=\"%s\">share of documents</text>\n"
             "<text x=\"%d\" y=\"38\" fill=\"%s\">share of tokens</text>\n",
             LEFT, documents_colour, LEFT + 130, tokens_colour);
    text_add(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.0f%%</text>\n", LEFT - 6, TOP + 8,
             bins.most * 100);
    for (int bin = bins.first; bin < bins.past; bin++) {
        int x = LEFT + (bin - bins.first) * BIN_WIDTH;
        svg_bar(out, x, share(bins.documents[bin], lengths->documents), bins.most,
                documents_colour);
        svg_bar(out, x + BAR_WIDTH, share(bins.tokens[bin], lengths->tokens), bins.most,
                tokens_colour);
        text_add(out, "<text transform=\"translate(%d %d) rotate(40)\">%lld</text>\n", x + 4,
                 TOP + HEIGHT + 14, (long long)bin_start(bin));
    }
    text_add(out, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"black\"/>\n", LEFT,
             TOP + HEIGHT, width - 20, TOP + HEIGHT);
    text_add(out, "</svg>\n");
}

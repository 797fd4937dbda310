/* reference: see reference.h. */
#include "tests/oracle/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *zeros(int64_t count)
{
    void *memory = calloc((size_t)count, sizeof(double));
    if (!memory)
        abort();
    return memory;
}

static void add_tensor(Reference *r, const char *name, int64_t rows, int64_t columns)
{
    ReferenceTensor *t = &r->tensors[r->ntensors++];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->rows = rows, t->columns = columns;
    t->value    = zeros(rows * columns);
    t->gradient = zeros(rows * columns);
}

static int layer_tensors(const Reference *r)
{
    return r->head_norms ? 11 : 9;
}

Reference *reference_new(int layers, int hidden, int heads, int kv_heads, int head_dim, int ffn,
                         int vocabulary, int tied, int head_norms, double epsilon, double theta)
{
    Reference *r = calloc(1, sizeof *r);
    *r           = (Reference){layers,
                               hidden,
                               heads,
                               kv_heads,
                               head_dim,
                               ffn,
                               vocabulary,
                               tied,
                               head_norms,
                               epsilon,
                               zeros(head_dim / 2),
                               calloc((size_t)layers * 11 + 3, sizeof(ReferenceTensor)),
                               0};
    for (int j = 0; j < head_dim / 2; j++)
        r->frequency[j] = (float)pow(theta, -2.0 * j / head_dim); /* rounded once */
    add_tensor(r, "model.embed_tokens.weight", vocabulary, hidden);
    for (int l = 0; l < layers; l++) {
        const struct {
            const char *name;
            int64_t     rows, columns;
        } shapes[] = {{"input_layernorm", 1, hidden},
                      {"self_attn.q_proj", heads * head_dim, hidden},
                      {"self_attn.k_proj", kv_heads * head_dim, hidden},
                      {"self_attn.v_proj", kv_heads * head_dim, hidden},
                      {"self_attn.o_proj", hidden, heads * head_dim},
                      {"post_attention_layernorm", 1, hidden},
                      {"mlp.gate_proj", ffn, hidden},
                      {"mlp.up_proj", ffn, hidden},
                      {"mlp.down_proj", hidden, ffn},
                      {"self_attn.q_norm", 1, head_dim},
                      {"self_attn.k_norm", 1, head_dim}};
        for (int i = 0; i < layer_tensors(r); i++) {
            char name[96];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, shapes[i].name);
            add_tensor(r, name, shapes[i].rows, shapes[i].columns);
        }
    }
    add_tensor(r, "model.norm.weight", 1, hidden);
    if (!tied)
        add_tensor(r, "lm_head.weight", vocabulary, hidden);
    return r;
}

void reference_free(Reference *r)
{
    for (int i = 0; i < r->ntensors; i++) {
        free(r->tensors[i].value);
        free(r->tensors[i].gradient);
    }
    free(r->tensors);
    free(r->frequency);
    free(r);
}

/* y[n][out] = x[n][in] w[out][in]^T */
static void product(double *y, const double *x, const ReferenceTensor *w, int n)
{
    for (int t = 0; t < n; t++)
        for (int64_t o = 0; o < w->rows; o++) {
            double sum = 0;
            for (int64_t i = 0; i < w->columns; i++)
                sum += x[t * w->columns + i] * w->value[o * w->columns + i];
            y[t * w->rows + o] = sum;
        }
}

/* dx += dy w, dw += dy^T x */
static void product_back(double *dx, const double *dy, const double *x, ReferenceTensor *w, int n)
{
    for (int t = 0; t < n; t++)
        for (int64_t o = 0; o < w->rows; o++) {
            double d = dy[t * w->rows + o];
            for (int64_t i = 0; i < w->columns; i++) {
                dx[t * w->columns + i] += d * w->value[o * w->columns + i];
                w->gradient[o * w->columns + i] += d * x[t * w->columns + i];
            }
        }
}

static double inverse_rms(const double *x, int64_t columns, double epsilon)
{
    double sum = 0;
    for (int64_t i = 0; i < columns; i++)
        sum += x[i] * x[i];
    return 1 / sqrt(sum / (double)columns + epsilon);
}

static void norm(double *y, const double *x, const ReferenceTensor *gain, int n, double epsilon)
{
    for (int t = 0; t < n; t++, x += gain->columns, y += gain->columns) {
        double scale = inverse_rms(x, gain->columns, epsilon);
        for (int64_t i = 0; i < gain->columns; i++)
            y[i] = gain->value[i] * x[i] * scale;
    }
}

/* dx += ... */
static void norm_back(double *dx, const double *dy, const double *x, ReferenceTensor *gain, int n,
                      double epsilon)
{
    int64_t h = gain->columns;
    for (int t = 0; t < n; t++, x += h, dx += h, dy += h) {
        double scale = inverse_rms(x, h, epsilon), dot = 0;
        for (int64_t i = 0; i < h; i++) {
            dot += dy[i] * gain->value[i] * x[i];
            gain->gradient[i] += dy[i] * x[i] * scale;
        }
        for (int64_t i = 0; i < h; i++)
            dx[i] += scale * (dy[i] * gain->value[i] - x[i] * dot * scale * scale / (double)h);
    }
}

/* Rotates every head of x[n][heads][head_dim] by its position; sign -1 turns back. */
static void rotate(const Reference *r, double *x, int heads, int n, int sign)
{
    int half = r->head_dim / 2;
    for (int t = 0; t < n; t++)
        for (int h = 0; h < heads; h++, x += r->head_dim)
            for (int j = 0; j < half; j++) {
                double angle = t * r->frequency[j], c = cos(angle), s = sign * sin(angle);
                double a = x[j], b = x[j + half];
                x[j]        = a * c - b * s;
                x[j + half] = b * c + a * s;
            }
}

/* Everything of one layer that its backward needs. */
typedef struct Layer {
    double *input, *normed, *raw_q, *raw_k /* ahead of their norms */, *q, *k, *v,
        *share /* [heads][n][n] */, *attended, *hidden, *normed2, *gate, *up, *act;
} Layer;

static ReferenceTensor *layer_tensor(Reference *r, int layer, int which)
{
    return &r->tensors[1 + layer * layer_tensors(r) + which];
}

static void attention(const Reference *r, Layer *s, int n)
{
    int d = r->head_dim, group = r->heads / r->kv_heads;
    for (int h = 0; h < r->heads; h++)
        for (int t = 0; t < n; t++) {
            double *p = s->share + ((int64_t)h * n + t) * n, most = -INFINITY, sum = 0;
            double *out = s->attended + (t * r->heads + h) * d;
            for (int u = 0; u <= t; u++) {
                const double *q = s->q + (t * r->heads + h) * d;
                const double *k = s->k + (u * r->kv_heads + h / group) * d;
                p[u]            = 0;
                for (int i = 0; i < d; i++)
                    p[u] += q[i] * k[i];
                p[u] /= sqrt(d);
                most = p[u] > most ? p[u] : most;
            }
            for (int u = 0; u <= t; u++)
                sum += p[u] = exp(p[u] - most);
            for (int u = 0; u <= t; u++) {
                p[u] /= sum;
                for (int i = 0; i < d; i++)
                    out[i] += p[u] * s->v[(u * r->kv_heads + h / group) * d + i];
            }
        }
}

static void attention_back(const Reference *r, const Layer *s, const double *dout, double *dq,
                           double *dk, double *dv, int n)
{
    int     d = r->head_dim, group = r->heads / r->kv_heads;
    double *dp = zeros(n);
    for (int h = 0; h < r->heads; h++)
        for (int t = 0; t < n; t++) {
            const double *p   = s->share + ((int64_t)h * n + t) * n,
                         *o   = dout + (t * r->heads + h) * d;
            const double *q   = s->q + (t * r->heads + h) * d;
            double        dot = 0;
            for (int u = 0; u <= t; u++) {
                int row = (u * r->kv_heads + h / group) * d;
                dp[u]   = 0;
                for (int i = 0; i < d; i++) {
                    dp[u] += o[i] * s->v[row + i];
                    dv[row + i] += p[u] * o[i];
                }
                dot += p[u] * dp[u];
            }
            for (int u = 0; u <= t; u++) {
                int    row   = (u * r->kv_heads + h / group) * d;
                double score = p[u] * (dp[u] - dot) / sqrt(d);
                for (int i = 0; i < d; i++) {
                    dq[(t * r->heads + h) * d + i] += score * s->k[row + i];
                    dk[row + i] += score * q[i];
                }
            }
        }
    free(dp);
}

static void layer_forward(Reference *r, Layer *s, int l, double *output, int n)
{
    int h = r->hidden, q = r->heads * r->head_dim, kv = r->kv_heads * r->head_dim, f = r->ffn;
    s->normed = zeros(n * h), s->q = zeros(n * q), s->k = zeros(n * kv), s->v = zeros(n * kv);
    s->share = zeros((int64_t)r->heads * n * n), s->attended = zeros(n * q);
    s->hidden = zeros(n * h), s->normed2 = zeros(n * h);
    s->gate = zeros(n * f), s->up = zeros(n * f), s->act = zeros(n * f);
    norm(s->normed, s->input, layer_tensor(r, l, 0), n, r->epsilon);
    if (r->head_norms) { /* rows of the norms are heads */
        s->raw_q = zeros(n * q), s->raw_k = zeros(n * kv);
        product(s->raw_q, s->normed, layer_tensor(r, l, 1), n);
        product(s->raw_k, s->normed, layer_tensor(r, l, 2), n);
        norm(s->q, s->raw_q, layer_tensor(r, l, 9), n * r->heads, r->epsilon);
        norm(s->k, s->raw_k, layer_tensor(r, l, 10), n * r->kv_heads, r->epsilon);
    } else {
        product(s->q, s->normed, layer_tensor(r, l, 1), n);
        product(s->k, s->normed, layer_tensor(r, l, 2), n);
    }
    product(s->v, s->normed, layer_tensor(r, l, 3), n);
    rotate(r, s->q, r->heads, n, 1);
    rotate(r, s->k, r->kv_heads, n, 1);
    attention(r, s, n);
    product(s->hidden, s->attended, layer_tensor(r, l, 4), n);
    for (int i = 0; i < n * h; i++)
        s->hidden[i] += s->input[i];
    norm(s->normed2, s->hidden, layer_tensor(r, l, 5), n, r->epsilon);
    product(s->gate, s->normed2, layer_tensor(r, l, 6), n);
    product(s->up, s->normed2, layer_tensor(r, l, 7), n);
    for (int i = 0; i < n * f; i++)
        s->act[i] = s->gate[i] / (1 + exp(-s->gate[i])) * s->up[i];
    product(output, s->act, layer_tensor(r, l, 8), n);
    for (int i = 0; i < n * h; i++)
        output[i] += s->hidden[i];
}

/* Turns the gradient of a head's normed query or key into that of the raw one. */
static void head_norm_back(double *d, const double *x, ReferenceTensor *gain, int n, double epsilon)
{
    size_t  bytes = (size_t)(n * gain->columns) * sizeof *d;
    double *after = zeros(n * gain->columns);
    memcpy(after, d, bytes);
    memset(d, 0, bytes);
    norm_back(d, after, x, gain, n, epsilon);
    free(after);
}

/* d: gradient of the output, then of the input. */
static void layer_backward(Reference *r, const Layer *s, int l, double *d, int n)
{
    int     h = r->hidden, q = r->heads * r->head_dim, kv = r->kv_heads * r->head_dim, f = r->ffn;
    double *dact = zeros(n * f), *dgate = zeros(n * f), *dup = zeros(n * f),
           *dnormed   = zeros(n * h);
    double *dattended = zeros(n * q), *dq = zeros(n * q), *dk = zeros(n * kv), *dv = zeros(n * kv);
    product_back(dact, d, s->act, layer_tensor(r, l, 8), n);
    for (int i = 0; i < n * f; i++) {
        double sigmoid = 1 / (1 + exp(-s->gate[i]));
        dup[i]         = dact[i] * s->gate[i] * sigmoid;
        dgate[i]       = dact[i] * s->up[i] * sigmoid * (1 + s->gate[i] * (1 - sigmoid));
    }
    product_back(dnormed, dgate, s->normed2, layer_tensor(r, l, 6), n);
    product_back(dnormed, dup, s->normed2, layer_tensor(r, l, 7), n);
    norm_back(d, dnormed, s->hidden, layer_tensor(r, l, 5), n, r->epsilon);
    product_back(dattended, d, s->attended, layer_tensor(r, l, 4), n);
    attention_back(r, s, dattended, dq, dk, dv, n);
    rotate(r, dq, r->heads, n, -1);
    rotate(r, dk, r->kv_heads, n, -1);
    if (r->head_norms) {
        head_norm_back(dq, s->raw_q, layer_tensor(r, l, 9), n * r->heads, r->epsilon);
        head_norm_back(dk, s->raw_k, layer_tensor(r, l, 10), n * r->kv_heads, r->epsilon);
    }
    memset(dnormed, 0, (size_t)(n * h) * sizeof *dnormed);
    product_back(dnormed, dq, s->normed, layer_tensor(r, l, 1), n);
    product_back(dnormed, dk, s->normed, layer_tensor(r, l, 2), n);
    product_back(dnormed, dv, s->normed, layer_tensor(r, l, 3), n);
    norm_back(d, dnormed, s->input, layer_tensor(r, l, 0), n, r->epsilon);
    free(dact), free(dgate), free(dup), free(dnormed);
    free(dattended), free(dq), free(dk), free(dv);
}

static void layer_free(Layer *s)
{
    free(s->raw_q), free(s->raw_k);
    free(s->input), free(s->normed), free(s->q), free(s->k), free(s->v), free(s->share);
    free(s->attended), free(s->hidden), free(s->normed2), free(s->gate), free(s->up), free(s->act);
}

/* Loss; where d is not NULL, it gets the gradient of the last layer's output. */
static double head(Reference *r, const double *x, double *d, const int32_t *target,
                   const double *weight, int n, double scale)
{
    ReferenceTensor *gain   = layer_tensor(r, r->layers, 0);
    ReferenceTensor *table  = r->tied ? &r->tensors[0] : gain + 1;
    double          *normed = zeros(n * r->hidden), *dnormed = zeros(n * r->hidden);
    double          *logit = zeros((int64_t)n * r->vocabulary), loss = 0;
    norm(normed, x, gain, n, r->epsilon);
    product(logit, normed, table, n);
    for (int t = 0; t < n; t++) {
        double *row = logit + (int64_t)t * r->vocabulary, most = -INFINITY, sum = 0;
        for (int v = 0; v < r->vocabulary; v++)
            most = row[v] > most ? row[v] : most;
        for (int v = 0; v < r->vocabulary; v++)
            sum += exp(row[v] - most);
        if (target[t] >= 0)
            loss += weight[t] * (most + log(sum) - row[target[t]]);
        for (int v = 0; v < r->vocabulary; v++)
            row[v] = target[t] < 0
                         ? 0
                         : weight[t] * scale * (exp(row[v] - most) / sum - (v == target[t]));
    }
    product_back(dnormed, logit, normed, table, n);
    norm_back(d, dnormed, x, gain, n, r->epsilon);
    free(normed), free(dnormed), free(logit);
    return loss;
}

double reference_step(Reference *r, const int32_t *token, const int32_t *target,
                      const double *weight, int n, double scale)
{
    int     h = r->hidden, layers = r->layers;
    Layer  *s = calloc((size_t)layers, sizeof *s);
    double *x = zeros(n * h), *d = zeros(n * h);
    for (int t = 0; t < n; t++)
        memcpy(x + t * h, r->tensors[0].value + (int64_t)token[t] * h, (size_t)h * sizeof *x);
    for (int l = 0; l < layers; l++) {
        double *output = zeros(n * h);
        s[l].input     = x;
        layer_forward(r, &s[l], l, output, n);
        x = output;
    }
    double loss = head(r, x, d, target, weight, n, scale);
    for (int l = layers; l-- > 0;)
        layer_backward(r, &s[l], l, d, n);
    for (int t = 0; t < n; t++)
        for (int i = 0; i < h; i++)
            r->tensors[0].gradient[(int64_t)token[t] * h + i] += d[t * h + i];
    for (int l = 0; l < layers; l++)
        layer_free(&s[l]);
    free(s), free(x), free(d);
    return loss;
}

/* codelets.c: the straight-line functions that this job's programs call. Emitted: read, do not
 * edit. Operands come in the order of the codelet table; those in the buffers of chains are found
 * through the call's segments. */
#include "codelets.h"

#include "templates/cpu/kernels.h"

/* embed_forward: the first layer's input.
 *   from    models/llama.lua, operations 1 to 1
 *   reads   tokens [tokens], w_table
 *   writes  next_input [tokens][HIDDEN]
 *   work    0 flops, 132 bytes a token */
void embed_forward(const PwCall *call)
{
    real          *next_input = call->at[0];
    const int32_t *tokens     = call->at[1];
    const real    *w_table    = call->at[2];

    embedding_forward(next_input, tokens, w_table, call->tokens);
}

/* embed_backward: backward.
 *   from    models/llama.lua, operations 1 to 1
 *   reads   d_next_input [tokens][HIDDEN], tokens [tokens]
 *   adds to dw_table
 *   work    32 flops, 132 bytes a token */
void embed_backward(const PwCall *call)
{
    real          *dw_table     = call->at[0];
    const real    *d_next_input = call->at[1];
    const int32_t *tokens       = call->at[2];

    embedding_backward(dw_table, d_next_input, tokens, call->tokens, VOCABULARY, call->flags);
}

/* pre_forward_all: forward, keeps all that backward reads.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   input [tokens][HIDDEN], w_attn_norm, w_qkv, rope
 *   writes  q [tokens][HIDDEN], kv in the segments' chains
 *   keeps   normed [tokens][HIDDEN], scale [tokens]: 132 bytes a token
 *   work    4320 flops, 1156 bytes a token
 *   scratch 256 bytes a token
 *           and for matmul_forward: 8192 bytes, 128 a token of at most 252 */
void pre_forward_all(const PwCall *call)
{
    real          *normed      = call->at[0];
    real          *scale       = call->at[1];
    const real    *input       = call->at[2];
    const real    *w_attn_norm = call->at[3];
    const real    *w_qkv       = call->at[4];
    real          *q           = call->at[5];
    const real    *rope        = call->at[6];
    unsigned char *scratch     = call->at[8];
    real          *qkv         = pw_take(&scratch, call->tokens, 256);
    void          *room        = scratch;

    rmsnorm_forward(normed, scale, input, w_attn_norm, call->tokens);
    matmul_forward(qkv, normed, w_qkv, NULL, call->tokens, QKV, HIDDEN, room);
    rope_forward(q, qkv, rope, call);
}

/* pre_forward_lean: forward, keeps what is dear to make again.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   input [tokens][HIDDEN], w_attn_norm, w_qkv, rope
 *   writes  q [tokens][HIDDEN], kv in the segments' chains
 *   keeps   scale [tokens]: 4 bytes a token
 *   work    4320 flops, 1156 bytes a token
 *   scratch 384 bytes a token
 *           and for matmul_forward: 8192 bytes, 128 a token of at most 252 */
void pre_forward_lean(const PwCall *call)
{
    real          *scale       = call->at[0];
    const real    *input       = call->at[1];
    const real    *w_attn_norm = call->at[2];
    const real    *w_qkv       = call->at[3];
    real          *q           = call->at[4];
    const real    *rope        = call->at[5];
    unsigned char *scratch     = call->at[7];
    real          *normed      = pw_take(&scratch, call->tokens, 128);
    real          *qkv         = pw_take(&scratch, call->tokens, 256);
    void          *room        = scratch;

    rmsnorm_forward(normed, scale, input, w_attn_norm, call->tokens);
    matmul_forward(qkv, normed, w_qkv, NULL, call->tokens, QKV, HIDDEN, room);
    rope_forward(q, qkv, rope, call);
}

/* pre_forward_bare: forward, keeps nothing.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   input [tokens][HIDDEN], w_attn_norm, w_qkv, rope
 *   writes  q [tokens][HIDDEN], kv in the segments' chains
 *   work    4320 flops, 1156 bytes a token
 *   scratch 388 bytes a token
 *           and for matmul_forward: 8192 bytes, 128 a token of at most 252 */
void pre_forward_bare(const PwCall *call)
{
    const real    *input       = call->at[0];
    const real    *w_attn_norm = call->at[1];
    const real    *w_qkv       = call->at[2];
    real          *q           = call->at[3];
    const real    *rope        = call->at[4];
    unsigned char *scratch     = call->at[6];
    real          *normed      = pw_take(&scratch, call->tokens, 128);
    real          *scale       = pw_take(&scratch, call->tokens, 4);
    real          *qkv         = pw_take(&scratch, call->tokens, 256);
    void          *room        = scratch;

    rmsnorm_forward(normed, scale, input, w_attn_norm, call->tokens);
    matmul_forward(qkv, normed, w_qkv, NULL, call->tokens, QKV, HIDDEN, room);
    rope_forward(q, qkv, rope, call);
}

/* pre_rebuild_all: forward again, ahead of backward; the layer's output is left out.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   input [tokens][HIDDEN], w_attn_norm, w_qkv, rope
 *   writes  q [tokens][HIDDEN], kv in the segments' chains
 *   keeps   normed [tokens][HIDDEN], scale [tokens]: 132 bytes a token
 *   work    4320 flops, 1156 bytes a token
 *   scratch 256 bytes a token
 *           and for matmul_forward: 8192 bytes, 128 a token of at most 252 */
void pre_rebuild_all(const PwCall *call)
{
    real          *normed      = call->at[0];
    real          *scale       = call->at[1];
    const real    *input       = call->at[2];
    const real    *w_attn_norm = call->at[3];
    const real    *w_qkv       = call->at[4];
    real          *q           = call->at[5];
    const real    *rope        = call->at[6];
    unsigned char *scratch     = call->at[8];
    real          *qkv         = pw_take(&scratch, call->tokens, 256);
    void          *room        = scratch;

    rmsnorm_forward(normed, scale, input, w_attn_norm, call->tokens);
    matmul_forward(qkv, normed, w_qkv, NULL, call->tokens, QKV, HIDDEN, room);
    rope_forward(q, qkv, rope, call);
}

/* pre_backward_all: backward.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   d_q [tokens][HIDDEN], rope, d_kv in the segments' chains, w_qkv,
 *           normed [tokens][HIDDEN], input [tokens][HIDDEN], scale [tokens], w_attn_norm,
 *           d_hidden [tokens][HIDDEN]
 *   writes  d_input [tokens][HIDDEN]
 *   adds to dw_qkv, dw_attn_norm
 *   work    8704 flops, 1796 bytes a token
 *   scratch 384 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 256 a token of at most 252
 *           or for matmul_backward_dw: 0 bytes, 384 a token of at most 256 */
void pre_backward_all(const PwCall *call)
{
    const real    *d_q          = call->at[0];
    const real    *rope         = call->at[1];
    const real    *w_qkv        = call->at[3];
    real          *dw_qkv       = call->at[4];
    const real    *normed       = call->at[5];
    real          *d_input      = call->at[6];
    real          *dw_attn_norm = call->at[7];
    const real    *input        = call->at[8];
    const real    *scale        = call->at[9];
    const real    *w_attn_norm  = call->at[10];
    const real    *d_hidden     = call->at[11];
    unsigned char *scratch      = call->at[12];
    real          *d_qkv        = pw_take(&scratch, call->tokens, 256);
    real          *d_normed     = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    rope_backward(d_qkv, d_q, rope, call);
    matmul_backward_dx(d_normed, d_qkv, w_qkv, call->tokens, QKV, HIDDEN, room);
    matmul_backward_dw(dw_qkv, d_qkv, normed, call->tokens, QKV, HIDDEN, call->flags, room);
    rmsnorm_backward(d_input, dw_attn_norm, d_normed, input, scale, w_attn_norm, d_hidden,
                     call->tokens, call->flags);
}

/* pre_backward_all_dx: backward, the gradient of the input.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   d_q [tokens][HIDDEN], rope, d_kv in the segments' chains, w_qkv,
 *           input [tokens][HIDDEN], scale [tokens], w_attn_norm, d_hidden [tokens][HIDDEN]
 *   writes  d_qkv [tokens][QKV], d_input [tokens][HIDDEN]
 *   adds to dw_attn_norm
 *   work    4608 flops, 1412 bytes a token
 *   scratch 128 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 256 a token of at most 252 */
void pre_backward_all_dx(const PwCall *call)
{
    real          *d_qkv        = call->at[0];
    const real    *d_q          = call->at[1];
    const real    *rope         = call->at[2];
    const real    *w_qkv        = call->at[4];
    real          *d_input      = call->at[5];
    real          *dw_attn_norm = call->at[6];
    const real    *input        = call->at[7];
    const real    *scale        = call->at[8];
    const real    *w_attn_norm  = call->at[9];
    const real    *d_hidden     = call->at[10];
    unsigned char *scratch      = call->at[11];
    real          *d_normed     = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    rope_backward(d_qkv, d_q, rope, call);
    matmul_backward_dx(d_normed, d_qkv, w_qkv, call->tokens, QKV, HIDDEN, room);
    rmsnorm_backward(d_input, dw_attn_norm, d_normed, input, scale, w_attn_norm, d_hidden,
                     call->tokens, call->flags);
}

/* pre_backward_all_dw: backward, the gradients of the weights.
 *   from    models/llama.lua, operations 3 to 3
 *   reads   d_qkv [tokens][QKV], normed [tokens][HIDDEN]
 *   adds to dw_qkv
 *   work    4096 flops, 384 bytes a token
 *   scratch 0 bytes a token
 *           and for matmul_backward_dw: 0 bytes, 384 a token of at most 256 */
void pre_backward_all_dw(const PwCall *call)
{
    real          *dw_qkv  = call->at[0];
    const real    *d_qkv   = call->at[1];
    const real    *normed  = call->at[2];
    unsigned char *scratch = call->at[3];
    void          *room    = scratch;

    matmul_backward_dw(dw_qkv, d_qkv, normed, call->tokens, QKV, HIDDEN, call->flags, room);
}

/* pre_backward_lean: backward.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   d_q [tokens][HIDDEN], rope, d_kv in the segments' chains, w_qkv,
 *           input [tokens][HIDDEN], scale [tokens], w_attn_norm, d_hidden [tokens][HIDDEN]
 *   writes  d_input [tokens][HIDDEN]
 *   adds to dw_qkv, dw_attn_norm
 *   work    8768 flops, 2056 bytes a token
 *   scratch 512 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 256 a token of at most 252
 *           or for matmul_backward_dw: 0 bytes, 384 a token of at most 256 */
void pre_backward_lean(const PwCall *call)
{
    const real    *d_q          = call->at[0];
    const real    *rope         = call->at[1];
    const real    *w_qkv        = call->at[3];
    const real    *input        = call->at[4];
    const real    *scale        = call->at[5];
    const real    *w_attn_norm  = call->at[6];
    real          *dw_qkv       = call->at[7];
    real          *d_input      = call->at[8];
    real          *dw_attn_norm = call->at[9];
    const real    *d_hidden     = call->at[10];
    unsigned char *scratch      = call->at[11];
    real          *d_qkv        = pw_take(&scratch, call->tokens, 256);
    real          *d_normed     = pw_take(&scratch, call->tokens, 128);
    real          *normed       = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    rope_backward(d_qkv, d_q, rope, call);
    matmul_backward_dx(d_normed, d_qkv, w_qkv, call->tokens, QKV, HIDDEN, room);
    rmsnorm_rebuild(normed, input, scale, w_attn_norm, call->tokens);
    matmul_backward_dw(dw_qkv, d_qkv, normed, call->tokens, QKV, HIDDEN, call->flags, room);
    rmsnorm_backward(d_input, dw_attn_norm, d_normed, input, scale, w_attn_norm, d_hidden,
                     call->tokens, call->flags);
}

/* pre_backward_lean_dx: backward, the gradient of the input.
 *   from    models/llama.lua, operations 2 to 4
 *   reads   d_q [tokens][HIDDEN], rope, d_kv in the segments' chains, w_qkv,
 *           input [tokens][HIDDEN], scale [tokens], w_attn_norm, d_hidden [tokens][HIDDEN]
 *   writes  d_qkv [tokens][QKV], d_input [tokens][HIDDEN]
 *   adds to dw_attn_norm
 *   work    4608 flops, 1412 bytes a token
 *   scratch 128 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 256 a token of at most 252 */
void pre_backward_lean_dx(const PwCall *call)
{
    real          *d_qkv        = call->at[0];
    const real    *d_q          = call->at[1];
    const real    *rope         = call->at[2];
    const real    *w_qkv        = call->at[4];
    real          *d_input      = call->at[5];
    real          *dw_attn_norm = call->at[6];
    const real    *input        = call->at[7];
    const real    *scale        = call->at[8];
    const real    *w_attn_norm  = call->at[9];
    const real    *d_hidden     = call->at[10];
    unsigned char *scratch      = call->at[11];
    real          *d_normed     = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    rope_backward(d_qkv, d_q, rope, call);
    matmul_backward_dx(d_normed, d_qkv, w_qkv, call->tokens, QKV, HIDDEN, room);
    rmsnorm_backward(d_input, dw_attn_norm, d_normed, input, scale, w_attn_norm, d_hidden,
                     call->tokens, call->flags);
}

/* pre_backward_lean_dw: backward, the gradients of the weights.
 *   from    models/llama.lua, operations 2 to 3
 *   reads   input [tokens][HIDDEN], scale [tokens], w_attn_norm, d_qkv [tokens][QKV]
 *   adds to dw_qkv
 *   work    4160 flops, 644 bytes a token
 *   scratch 128 bytes a token
 *           and for matmul_backward_dw: 0 bytes, 384 a token of at most 256 */
void pre_backward_lean_dw(const PwCall *call)
{
    const real    *input       = call->at[0];
    const real    *scale       = call->at[1];
    const real    *w_attn_norm = call->at[2];
    real          *dw_qkv      = call->at[3];
    const real    *d_qkv       = call->at[4];
    unsigned char *scratch     = call->at[5];
    real          *normed      = pw_take(&scratch, call->tokens, 128);
    void          *room        = scratch;

    rmsnorm_rebuild(normed, input, scale, w_attn_norm, call->tokens);
    matmul_backward_dw(dw_qkv, d_qkv, normed, call->tokens, QKV, HIDDEN, call->flags, room);
}

/* core_forward_all: forward, keeps all that backward reads.
 *   from    models/llama.lua, operations 5 to 5
 *   reads   q [tokens][HIDDEN], kv in the segments' chains
 *   keeps   attended [tokens][HIDDEN], lse [tokens][4]: 144 bytes a token
 *   work    0 flops and 128 for each query and key that it attends, 400 bytes a token
 *   scratch 0 bytes a token
 *           and for attention_forward: 43328 bytes, 32 a token */
void core_forward_all(const PwCall *call)
{
    real          *attended = call->at[0];
    real          *lse      = call->at[1];
    const real    *q        = call->at[2];
    unsigned char *scratch  = call->at[4];
    void          *room     = scratch;

    attention_forward(attended, lse, q, call, room);
}

/* core_forward_bare: forward, keeps nothing.
 *   from    models/llama.lua, operations 5 to 5
 *   reads   q [tokens][HIDDEN], kv in the segments' chains
 *   keeps   attended [tokens][HIDDEN]: 128 bytes a token
 *   work    0 flops and 128 for each query and key that it attends, 400 bytes a token
 *   scratch 16 bytes a token
 *           and for attention_forward: 43328 bytes, 32 a token */
void core_forward_bare(const PwCall *call)
{
    real          *attended = call->at[0];
    const real    *q        = call->at[1];
    unsigned char *scratch  = call->at[3];
    real          *lse      = pw_take(&scratch, call->tokens, 16);
    void          *room     = scratch;

    attention_forward(attended, lse, q, call, room);
}

/* core_backward: backward.
 *   from    models/llama.lua, operations 5 to 5
 *   reads   d_attended [tokens][HIDDEN], q [tokens][HIDDEN], attended [tokens][HIDDEN],
 *           lse [tokens][4], kv in the segments' chains
 *   writes  d_q [tokens][HIDDEN]
 *   adds to d_kv in the segments' chains
 *   work    64 flops and 320 for each query and key that it attends, 912 bytes a token
 *   scratch 0 bytes a token
 *           and for attention_backward: 112448 bytes, 16 a token */
void core_backward(const PwCall *call)
{
    real          *d_q        = call->at[0];
    const real    *d_attended = call->at[1];
    const real    *q          = call->at[2];
    const real    *attended   = call->at[3];
    const real    *lse        = call->at[4];
    unsigned char *scratch    = call->at[7];
    void          *room       = scratch;

    attention_backward(d_q, d_attended, q, attended, lse, call, room);
}

/* post_forward_all: forward, keeps all that backward reads.
 *   from    models/llama.lua, operations 6 to 12
 *   reads   attended [tokens][HIDDEN], w_o, input [tokens][HIDDEN], w_ffn_norm, w_gate_up,
 *           w_down
 *   writes  next_input [tokens][HIDDEN]
 *   keeps   hidden [tokens][HIDDEN], normed2 [tokens][HIDDEN], scale2 [tokens],
 *           gate_up [tokens][GATE_UP], act [tokens][FFN]: 836 bytes a token
 *   work    11744 flops, 2180 bytes a token
 *   scratch 0 bytes a token
 *           and for matmul_forward: 4096 bytes, 128 a token of at most 252
 *           or for matmul_forward: 12288 bytes, 128 a token of at most 252
 *           or for matmul_forward: 6144 bytes, 192 a token of at most 252 */
void post_forward_all(const PwCall *call)
{
    const real    *attended   = call->at[0];
    const real    *w_o        = call->at[1];
    real          *hidden     = call->at[2];
    const real    *input      = call->at[3];
    real          *normed2    = call->at[4];
    real          *scale2     = call->at[5];
    const real    *w_ffn_norm = call->at[6];
    real          *gate_up    = call->at[7];
    const real    *w_gate_up  = call->at[8];
    real          *act        = call->at[9];
    const real    *w_down     = call->at[10];
    real          *next_input = call->at[11];
    unsigned char *scratch    = call->at[12];
    void          *room       = scratch;

    matmul_forward(hidden, attended, w_o, input, call->tokens, HIDDEN, HIDDEN, room);
    rmsnorm_forward(normed2, scale2, hidden, w_ffn_norm, call->tokens);
    matmul_forward(gate_up, normed2, w_gate_up, NULL, call->tokens, GATE_UP, HIDDEN, room);
    swiglu_forward(act, gate_up, call->tokens);
    matmul_forward(next_input, act, w_down, hidden, call->tokens, HIDDEN, FFN, room);
}

/* post_forward_lean: forward, keeps what is dear to make again.
 *   from    models/llama.lua, operations 6 to 12
 *   reads   attended [tokens][HIDDEN], w_o, input [tokens][HIDDEN], w_ffn_norm, w_gate_up,
 *           w_down
 *   writes  next_input [tokens][HIDDEN]
 *   keeps   hidden [tokens][HIDDEN], scale2 [tokens], gate_up [tokens][GATE_UP]: 516 bytes a token
 *   work    11744 flops, 2180 bytes a token
 *   scratch 320 bytes a token
 *           and for matmul_forward: 4096 bytes, 128 a token of at most 252
 *           or for matmul_forward: 12288 bytes, 128 a token of at most 252
 *           or for matmul_forward: 6144 bytes, 192 a token of at most 252 */
void post_forward_lean(const PwCall *call)
{
    const real    *attended   = call->at[0];
    const real    *w_o        = call->at[1];
    real          *hidden     = call->at[2];
    const real    *input      = call->at[3];
    real          *scale2     = call->at[4];
    const real    *w_ffn_norm = call->at[5];
    real          *gate_up    = call->at[6];
    const real    *w_gate_up  = call->at[7];
    const real    *w_down     = call->at[8];
    real          *next_input = call->at[9];
    unsigned char *scratch    = call->at[10];
    real          *normed2    = pw_take(&scratch, call->tokens, 128);
    real          *act        = pw_take(&scratch, call->tokens, 192);
    void          *room       = scratch;

    matmul_forward(hidden, attended, w_o, input, call->tokens, HIDDEN, HIDDEN, room);
    rmsnorm_forward(normed2, scale2, hidden, w_ffn_norm, call->tokens);
    matmul_forward(gate_up, normed2, w_gate_up, NULL, call->tokens, GATE_UP, HIDDEN, room);
    swiglu_forward(act, gate_up, call->tokens);
    matmul_forward(next_input, act, w_down, hidden, call->tokens, HIDDEN, FFN, room);
}

/* post_forward_bare: forward, keeps nothing.
 *   from    models/llama.lua, operations 6 to 12
 *   reads   attended [tokens][HIDDEN], w_o, input [tokens][HIDDEN], w_ffn_norm, w_gate_up,
 *           w_down
 *   writes  next_input [tokens][HIDDEN]
 *   work    11744 flops, 2180 bytes a token
 *   scratch 836 bytes a token
 *           and for matmul_forward: 4096 bytes, 128 a token of at most 252
 *           or for matmul_forward: 12288 bytes, 128 a token of at most 252
 *           or for matmul_forward: 6144 bytes, 192 a token of at most 252 */
void post_forward_bare(const PwCall *call)
{
    const real    *attended   = call->at[0];
    const real    *w_o        = call->at[1];
    const real    *input      = call->at[2];
    const real    *w_ffn_norm = call->at[3];
    const real    *w_gate_up  = call->at[4];
    const real    *w_down     = call->at[5];
    real          *next_input = call->at[6];
    unsigned char *scratch    = call->at[7];
    real          *hidden     = pw_take(&scratch, call->tokens, 128);
    real          *normed2    = pw_take(&scratch, call->tokens, 128);
    real          *scale2     = pw_take(&scratch, call->tokens, 4);
    real          *gate_up    = pw_take(&scratch, call->tokens, 384);
    real          *act        = pw_take(&scratch, call->tokens, 192);
    void          *room       = scratch;

    matmul_forward(hidden, attended, w_o, input, call->tokens, HIDDEN, HIDDEN, room);
    rmsnorm_forward(normed2, scale2, hidden, w_ffn_norm, call->tokens);
    matmul_forward(gate_up, normed2, w_gate_up, NULL, call->tokens, GATE_UP, HIDDEN, room);
    swiglu_forward(act, gate_up, call->tokens);
    matmul_forward(next_input, act, w_down, hidden, call->tokens, HIDDEN, FFN, room);
}

/* post_rebuild_all: forward again, ahead of backward; the layer's output is left out.
 *   from    models/llama.lua, operations 6 to 10
 *   reads   attended [tokens][HIDDEN], w_o, input [tokens][HIDDEN], w_ffn_norm, w_gate_up
 *   keeps   hidden [tokens][HIDDEN], normed2 [tokens][HIDDEN], scale2 [tokens],
 *           gate_up [tokens][GATE_UP], act [tokens][FFN]: 836 bytes a token
 *   work    8640 flops, 1732 bytes a token
 *   scratch 0 bytes a token
 *           and for matmul_forward: 4096 bytes, 128 a token of at most 252
 *           or for matmul_forward: 12288 bytes, 128 a token of at most 252 */
void post_rebuild_all(const PwCall *call)
{
    const real    *attended   = call->at[0];
    const real    *w_o        = call->at[1];
    real          *hidden     = call->at[2];
    const real    *input      = call->at[3];
    real          *normed2    = call->at[4];
    real          *scale2     = call->at[5];
    const real    *w_ffn_norm = call->at[6];
    real          *gate_up    = call->at[7];
    const real    *w_gate_up  = call->at[8];
    real          *act        = call->at[9];
    unsigned char *scratch    = call->at[10];
    void          *room       = scratch;

    matmul_forward(hidden, attended, w_o, input, call->tokens, HIDDEN, HIDDEN, room);
    rmsnorm_forward(normed2, scale2, hidden, w_ffn_norm, call->tokens);
    matmul_forward(gate_up, normed2, w_gate_up, NULL, call->tokens, GATE_UP, HIDDEN, room);
    swiglu_forward(act, gate_up, call->tokens);
}

/* post_backward_all: backward.
 *   from    models/llama.lua, operations 6 to 11
 *   reads   d_next_input [tokens][HIDDEN], w_down, act [tokens][FFN], gate_up [tokens][GATE_UP],
 *           w_gate_up, normed2 [tokens][HIDDEN], hidden [tokens][HIDDEN], scale2 [tokens],
 *           w_ffn_norm, w_o, attended [tokens][HIDDEN]
 *   writes  d_hidden [tokens][HIDDEN], d_attended [tokens][HIDDEN]
 *   adds to dw_down, dw_gate_up, dw_ffn_norm, dw_o
 *   work    23424 flops, 3652 bytes a token
 *   scratch 704 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 128 a token of at most 252
 *           or for matmul_backward_dw: 0 bytes, 384 a token of at most 256
 *           or for matmul_backward_dx: 12288 bytes, 384 a token of at most 252
 *           or for matmul_backward_dw: 0 bytes, 512 a token of at most 256 */
void post_backward_all(const PwCall *call)
{
    const real    *d_next_input = call->at[0];
    const real    *w_down       = call->at[1];
    real          *dw_down      = call->at[2];
    const real    *act          = call->at[3];
    const real    *gate_up      = call->at[4];
    const real    *w_gate_up    = call->at[5];
    real          *dw_gate_up   = call->at[6];
    const real    *normed2      = call->at[7];
    real          *d_hidden     = call->at[8];
    real          *dw_ffn_norm  = call->at[9];
    const real    *hidden       = call->at[10];
    const real    *scale2       = call->at[11];
    const real    *w_ffn_norm   = call->at[12];
    real          *d_attended   = call->at[13];
    const real    *w_o          = call->at[14];
    real          *dw_o         = call->at[15];
    const real    *attended     = call->at[16];
    unsigned char *scratch      = call->at[17];
    real          *d_act        = pw_take(&scratch, call->tokens, 192);
    real          *d_gate_up    = pw_take(&scratch, call->tokens, 384);
    real          *d_normed2    = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    matmul_backward_dx(d_act, d_next_input, w_down, call->tokens, HIDDEN, FFN, room);
    matmul_backward_dw(dw_down, d_next_input, act, call->tokens, HIDDEN, FFN, call->flags, room);
    swiglu_backward(d_gate_up, d_act, gate_up, call->tokens);
    matmul_backward_dx(d_normed2, d_gate_up, w_gate_up, call->tokens, GATE_UP, HIDDEN, room);
    matmul_backward_dw(dw_gate_up, d_gate_up, normed2, call->tokens, GATE_UP, HIDDEN, call->flags,
                       room);
    rmsnorm_backward(d_hidden, dw_ffn_norm, d_normed2, hidden, scale2, w_ffn_norm, d_next_input,
                     call->tokens, call->flags);
    matmul_backward_dx(d_attended, d_hidden, w_o, call->tokens, HIDDEN, HIDDEN, room);
    matmul_backward_dw(dw_o, d_hidden, attended, call->tokens, HIDDEN, HIDDEN, call->flags, room);
}

/* post_backward_all_dx: backward, the gradient of the input.
 *   from    models/llama.lua, operations 6 to 11
 *   reads   d_next_input [tokens][HIDDEN], w_down, gate_up [tokens][GATE_UP], w_gate_up,
 *           hidden [tokens][HIDDEN], scale2 [tokens], w_ffn_norm, w_o
 *   writes  d_gate_up [tokens][GATE_UP], d_hidden [tokens][HIDDEN], d_attended [tokens][HIDDEN]
 *   adds to dw_ffn_norm
 *   work    12160 flops, 2564 bytes a token
 *   scratch 320 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 128 a token of at most 252
 *           or for matmul_backward_dx: 12288 bytes, 384 a token of at most 252 */
void post_backward_all_dx(const PwCall *call)
{
    const real    *d_next_input = call->at[0];
    const real    *w_down       = call->at[1];
    real          *d_gate_up    = call->at[2];
    const real    *gate_up      = call->at[3];
    const real    *w_gate_up    = call->at[4];
    real          *d_hidden     = call->at[5];
    real          *dw_ffn_norm  = call->at[6];
    const real    *hidden       = call->at[7];
    const real    *scale2       = call->at[8];
    const real    *w_ffn_norm   = call->at[9];
    real          *d_attended   = call->at[10];
    const real    *w_o          = call->at[11];
    unsigned char *scratch      = call->at[12];
    real          *d_act        = pw_take(&scratch, call->tokens, 192);
    real          *d_normed2    = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    matmul_backward_dx(d_act, d_next_input, w_down, call->tokens, HIDDEN, FFN, room);
    swiglu_backward(d_gate_up, d_act, gate_up, call->tokens);
    matmul_backward_dx(d_normed2, d_gate_up, w_gate_up, call->tokens, GATE_UP, HIDDEN, room);
    rmsnorm_backward(d_hidden, dw_ffn_norm, d_normed2, hidden, scale2, w_ffn_norm, d_next_input,
                     call->tokens, call->flags);
    matmul_backward_dx(d_attended, d_hidden, w_o, call->tokens, HIDDEN, HIDDEN, room);
}

/* post_backward_all_dw: backward, the gradients of the weights.
 *   from    models/llama.lua, operations 6 to 11
 *   reads   d_next_input [tokens][HIDDEN], act [tokens][FFN], d_gate_up [tokens][GATE_UP],
 *           normed2 [tokens][HIDDEN], d_hidden [tokens][HIDDEN], attended [tokens][HIDDEN]
 *   adds to dw_down, dw_gate_up, dw_o
 *   work    11264 flops, 1088 bytes a token
 *   scratch 0 bytes a token
 *           and for matmul_backward_dw: 0 bytes, 384 a token of at most 256
 *           or for matmul_backward_dw: 0 bytes, 512 a token of at most 256 */
void post_backward_all_dw(const PwCall *call)
{
    real          *dw_down      = call->at[0];
    const real    *d_next_input = call->at[1];
    const real    *act          = call->at[2];
    real          *dw_gate_up   = call->at[3];
    const real    *d_gate_up    = call->at[4];
    const real    *normed2      = call->at[5];
    real          *dw_o         = call->at[6];
    const real    *d_hidden     = call->at[7];
    const real    *attended     = call->at[8];
    unsigned char *scratch      = call->at[9];
    void          *room         = scratch;

    matmul_backward_dw(dw_down, d_next_input, act, call->tokens, HIDDEN, FFN, call->flags, room);
    matmul_backward_dw(dw_gate_up, d_gate_up, normed2, call->tokens, GATE_UP, HIDDEN, call->flags,
                       room);
    matmul_backward_dw(dw_o, d_hidden, attended, call->tokens, HIDDEN, HIDDEN, call->flags, room);
}

/* post_backward_lean: backward.
 *   from    models/llama.lua, operations 6 to 11
 *   reads   d_next_input [tokens][HIDDEN], w_down, gate_up [tokens][GATE_UP], w_gate_up,
 *           hidden [tokens][HIDDEN], scale2 [tokens], w_ffn_norm, w_o, attended [tokens][HIDDEN]
 *   writes  d_hidden [tokens][HIDDEN], d_attended [tokens][HIDDEN]
 *   adds to dw_down, dw_gate_up, dw_ffn_norm, dw_o
 *   work    23776 flops, 4488 bytes a token
 *   scratch 1024 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 128 a token of at most 252
 *           or for matmul_backward_dw: 0 bytes, 384 a token of at most 256
 *           or for matmul_backward_dx: 12288 bytes, 384 a token of at most 252
 *           or for matmul_backward_dw: 0 bytes, 512 a token of at most 256 */
void post_backward_lean(const PwCall *call)
{
    const real    *d_next_input = call->at[0];
    const real    *w_down       = call->at[1];
    const real    *gate_up      = call->at[2];
    real          *dw_down      = call->at[3];
    const real    *w_gate_up    = call->at[4];
    const real    *hidden       = call->at[5];
    const real    *scale2       = call->at[6];
    const real    *w_ffn_norm   = call->at[7];
    real          *dw_gate_up   = call->at[8];
    real          *d_hidden     = call->at[9];
    real          *dw_ffn_norm  = call->at[10];
    real          *d_attended   = call->at[11];
    const real    *w_o          = call->at[12];
    real          *dw_o         = call->at[13];
    const real    *attended     = call->at[14];
    unsigned char *scratch      = call->at[15];
    real          *d_act        = pw_take(&scratch, call->tokens, 192);
    real          *act          = pw_take(&scratch, call->tokens, 192);
    real          *d_gate_up    = pw_take(&scratch, call->tokens, 384);
    real          *d_normed2    = pw_take(&scratch, call->tokens, 128);
    real          *normed2      = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    matmul_backward_dx(d_act, d_next_input, w_down, call->tokens, HIDDEN, FFN, room);
    swiglu_forward(act, gate_up, call->tokens);
    matmul_backward_dw(dw_down, d_next_input, act, call->tokens, HIDDEN, FFN, call->flags, room);
    swiglu_backward(d_gate_up, d_act, gate_up, call->tokens);
    matmul_backward_dx(d_normed2, d_gate_up, w_gate_up, call->tokens, GATE_UP, HIDDEN, room);
    rmsnorm_rebuild(normed2, hidden, scale2, w_ffn_norm, call->tokens);
    matmul_backward_dw(dw_gate_up, d_gate_up, normed2, call->tokens, GATE_UP, HIDDEN, call->flags,
                       room);
    rmsnorm_backward(d_hidden, dw_ffn_norm, d_normed2, hidden, scale2, w_ffn_norm, d_next_input,
                     call->tokens, call->flags);
    matmul_backward_dx(d_attended, d_hidden, w_o, call->tokens, HIDDEN, HIDDEN, room);
    matmul_backward_dw(dw_o, d_hidden, attended, call->tokens, HIDDEN, HIDDEN, call->flags, room);
}

/* post_backward_lean_dx: backward, the gradient of the input.
 *   from    models/llama.lua, operations 6 to 11
 *   reads   d_next_input [tokens][HIDDEN], w_down, gate_up [tokens][GATE_UP], w_gate_up,
 *           hidden [tokens][HIDDEN], scale2 [tokens], w_ffn_norm, w_o
 *   writes  d_gate_up [tokens][GATE_UP], d_hidden [tokens][HIDDEN], d_attended [tokens][HIDDEN]
 *   adds to dw_ffn_norm
 *   work    12160 flops, 2564 bytes a token
 *   scratch 320 bytes a token
 *           and for matmul_backward_dx: 8192 bytes, 128 a token of at most 252
 *           or for matmul_backward_dx: 12288 bytes, 384 a token of at most 252 */
void post_backward_lean_dx(const PwCall *call)
{
    const real    *d_next_input = call->at[0];
    const real    *w_down       = call->at[1];
    real          *d_gate_up    = call->at[2];
    const real    *gate_up      = call->at[3];
    const real    *w_gate_up    = call->at[4];
    real          *d_hidden     = call->at[5];
    real          *dw_ffn_norm  = call->at[6];
    const real    *hidden       = call->at[7];
    const real    *scale2       = call->at[8];
    const real    *w_ffn_norm   = call->at[9];
    real          *d_attended   = call->at[10];
    const real    *w_o          = call->at[11];
    unsigned char *scratch      = call->at[12];
    real          *d_act        = pw_take(&scratch, call->tokens, 192);
    real          *d_normed2    = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    matmul_backward_dx(d_act, d_next_input, w_down, call->tokens, HIDDEN, FFN, room);
    swiglu_backward(d_gate_up, d_act, gate_up, call->tokens);
    matmul_backward_dx(d_normed2, d_gate_up, w_gate_up, call->tokens, GATE_UP, HIDDEN, room);
    rmsnorm_backward(d_hidden, dw_ffn_norm, d_normed2, hidden, scale2, w_ffn_norm, d_next_input,
                     call->tokens, call->flags);
    matmul_backward_dx(d_attended, d_hidden, w_o, call->tokens, HIDDEN, HIDDEN, room);
}

/* post_backward_lean_dw: backward, the gradients of the weights.
 *   from    models/llama.lua, operations 6 to 11
 *   reads   gate_up [tokens][GATE_UP], d_next_input [tokens][HIDDEN], hidden [tokens][HIDDEN],
 *           scale2 [tokens], w_ffn_norm, d_gate_up [tokens][GATE_UP], d_hidden [tokens][HIDDEN],
 *           attended [tokens][HIDDEN]
 *   adds to dw_down, dw_gate_up, dw_o
 *   work    11616 flops, 1924 bytes a token
 *   scratch 320 bytes a token
 *           and for matmul_backward_dw: 0 bytes, 384 a token of at most 256
 *           or for matmul_backward_dw: 0 bytes, 512 a token of at most 256 */
void post_backward_lean_dw(const PwCall *call)
{
    const real    *gate_up      = call->at[0];
    real          *dw_down      = call->at[1];
    const real    *d_next_input = call->at[2];
    const real    *hidden       = call->at[3];
    const real    *scale2       = call->at[4];
    const real    *w_ffn_norm   = call->at[5];
    real          *dw_gate_up   = call->at[6];
    const real    *d_gate_up    = call->at[7];
    real          *dw_o         = call->at[8];
    const real    *d_hidden     = call->at[9];
    const real    *attended     = call->at[10];
    unsigned char *scratch      = call->at[11];
    real          *act          = pw_take(&scratch, call->tokens, 192);
    real          *normed2      = pw_take(&scratch, call->tokens, 128);
    void          *room         = scratch;

    swiglu_forward(act, gate_up, call->tokens);
    matmul_backward_dw(dw_down, d_next_input, act, call->tokens, HIDDEN, FFN, call->flags, room);
    rmsnorm_rebuild(normed2, hidden, scale2, w_ffn_norm, call->tokens);
    matmul_backward_dw(dw_gate_up, d_gate_up, normed2, call->tokens, GATE_UP, HIDDEN, call->flags,
                       room);
    matmul_backward_dw(dw_o, d_hidden, attended, call->tokens, HIDDEN, HIDDEN, call->flags, room);
}

/* head_loss: loss and its gradients.
 *   from    models/llama.lua, operations 13 to 14
 *   reads   input [tokens][HIDDEN], w_final_norm, w_lm_head, targets [tokens], weights [tokens]
 *   writes  loss [segments], d_input [tokens][HIDDEN]
 *   adds to dw_lm_head, dw_final_norm
 *   work    51077 flops, 920 bytes a token
 *   scratch 260 bytes a token
 *           and for head_loss: 290816 bytes, 1028 a token of at most 256 */
void head_loss_codelet(const PwCall *call)
{
    const real    *input          = call->at[0];
    const real    *w_final_norm   = call->at[1];
    real          *dw_lm_head     = call->at[2];
    double        *loss           = call->at[3];
    const real    *w_lm_head      = call->at[4];
    const int32_t *targets        = call->at[5];
    const float   *weights        = call->at[6];
    real          *d_input        = call->at[7];
    real          *dw_final_norm  = call->at[8];
    unsigned char *scratch        = call->at[9];
    real          *final_normed   = pw_take(&scratch, call->tokens, 128);
    real          *final_scale    = pw_take(&scratch, call->tokens, 4);
    real          *d_final_normed = pw_take(&scratch, call->tokens, 128);
    void          *room           = scratch;

    rmsnorm_forward(final_normed, final_scale, input, w_final_norm, call->tokens);
    head_loss(d_final_normed, dw_lm_head, loss, final_normed, w_lm_head, targets, weights, call,
              room);
    rmsnorm_backward(d_input, dw_final_norm, d_final_normed, input, final_scale, w_final_norm,
                     NULL, call->tokens, call->flags);
}

/* head_evaluate: loss alone.
 *   from    models/llama.lua, operations 13 to 14
 *   reads   input [tokens][HIDDEN], w_final_norm, w_lm_head, targets [tokens], weights [tokens]
 *   writes  loss [segments]
 *   work    17347 flops, 404 bytes a token
 *   scratch 132 bytes a token
 *           and for head_evaluate: 69120 bytes, 1028 a token of at most 256 */
void head_evaluate_codelet(const PwCall *call)
{
    const real    *input        = call->at[0];
    const real    *w_final_norm = call->at[1];
    double        *loss         = call->at[2];
    const real    *w_lm_head    = call->at[3];
    const int32_t *targets      = call->at[4];
    const float   *weights      = call->at[5];
    unsigned char *scratch      = call->at[6];
    real          *final_normed = pw_take(&scratch, call->tokens, 128);
    real          *final_scale  = pw_take(&scratch, call->tokens, 4);
    void          *room         = scratch;

    rmsnorm_forward(final_normed, final_scale, input, w_final_norm, call->tokens);
    head_evaluate(loss, final_normed, w_lm_head, targets, weights, call, room);
}

/* head_sample: the next token.
 *   from    models/llama.lua, operations 13 to 14
 *   reads   input [tokens][HIDDEN], w_final_norm, w_lm_head
 *   writes  next
 *   work    128 flops, 388 bytes a token
 *   scratch 132 bytes a token
 *           and for head_sample: 38020 bytes */
void head_sample_codelet(const PwCall *call)
{
    const real    *input        = call->at[0];
    const real    *w_final_norm = call->at[1];
    int32_t       *next         = call->at[2];
    const real    *w_lm_head    = call->at[3];
    unsigned char *scratch      = call->at[4];
    real          *final_normed = pw_take(&scratch, call->tokens, 128);
    real          *final_scale  = pw_take(&scratch, call->tokens, 4);
    void          *room         = scratch;

    rmsnorm_forward(final_normed, final_scale, input, w_final_norm, call->tokens);
    head_sample(next, final_normed, w_lm_head, call, room);
}

/* adamw: at the end of a step.
 *   from    the optimizer
 *   reads   gradient, factor
 *   adds to weight, moment1, moment2
 *   work    12 flops, 28 bytes an element */
void adamw_codelet(const PwCall *call)
{
    real          *weight   = call->at[0];
    real          *moment1  = call->at[1];
    real          *moment2  = call->at[2];
    const real    *gradient = call->at[3];
    const double  *factor   = call->at[4];

    adamw(weight, moment1, moment2, gradient, factor, call->count, 1, call->step);
}

/* adamw_plain: at the end of a step.
 *   from    the optimizer
 *   reads   gradient, factor
 *   adds to weight, moment1, moment2
 *   work    12 flops, 28 bytes an element */
void adamw_plain(const PwCall *call)
{
    real          *weight   = call->at[0];
    real          *moment1  = call->at[1];
    real          *moment2  = call->at[2];
    const real    *gradient = call->at[3];
    const double  *factor   = call->at[4];

    adamw(weight, moment1, moment2, gradient, factor, call->count, 0, call->step);
}

/* grad_norm: at the end of a step.
 *   from    the optimizer
 *   reads   gradient
 *   writes  norm
 *   work    2 flops, 4 bytes an element */
void grad_norm_codelet(const PwCall *call)
{
    double        *norm     = call->at[0];
    const real    *gradient = call->at[1];

    grad_norm(norm, gradient, call->count);
}

/* clip: at the end of a step.
 *   from    the optimizer
 *   reads   norms, losses
 *   writes  factor
 *   work    0 flops, 8 bytes an element */
void clip_codelet(const PwCall *call)
{
    double        *factor = call->at[0];
    const double  *norms  = call->at[1];
    const double  *losses = call->at[2];

    clip(factor, norms, losses, TENSORS, call->count, call->step);
}

/* What went wrong behind RNN_CUDA. */
typedef struct rnn_cuda_error {
    const char *call; /* the driver's function */
    const char *name; /* of the error: "CUDA_ERROR_OUT_OF_MEMORY"; or a sentence, where the driver has found none */
    int result;       /* its number; 0: the driver has found none */
} rnn_cuda_error;

typedef struct rnn_cuda_call {
    void *workspace;      /* on the device, at a multiple of 256 */
    size_t bytes;         /* of the workspace: at least what ..._workspace_cuda() says */
    int passes;           /* RNN_FORWARD, or RNN_TRAIN to keep what backward needs */
    void *stream;         /* a CUstream, or NULL */
    int32_t *index_error; /* on the device: set to 1 where an index is outside its axis, else left as it is; may be NULL */
    rnn_cuda_error error; /* what RNN_CUDA means */
} rnn_cuda_call;

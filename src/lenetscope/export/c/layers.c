/* The layers of generated networks. source.py copies the parts that a network needs, each opened by a
   line with its name and those of the parts that it needs. It defines PATCH and LARGEST before them. */

/* -- rescale: */
/* product / 2^shift to the nearest whole number, halves upwards; right for negative numbers as well. */
static int64_t rescale(int64_t product, int shift)
{
    int64_t sum = product + ((int64_t)1 << (shift - 1));
    return sum >= 0 ? sum >> shift : ~(~sum >> shift);
}

/* -- activation: rescale */
/* The int8 activation for a sum; low is that of 0 after ReLU, else -128. */
static int8_t activation(int64_t product, int shift, int zero, int low)
{
    int64_t value = rescale(product, shift) + zero;
    return (int8_t)(value < low ? low : value > 127 ? 127 : value);
}

/* -- dot: */
static int32_t dot(const int8_t *a, const int8_t *b, int32_t size)
{
    int32_t sum = 0;
    int32_t i;
    for (i = 0; i < size; ++i)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

/* -- look_up: */
/* One output per input, from a table of 256 rows. */
static void look_up(const int8_t *table, const uint8_t *in, int8_t *out, int32_t size)
{
    int32_t i;
    for (i = 0; i < size; ++i)
        out[i] = table[in[i]];
}

/* -- window: */
/* Where a convolution or pooling reads. pad is what lies around the input. */
typedef struct {
    int32_t in_height, in_width, out_height, out_width;
    int32_t height, width, stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x;
    int8_t pad;
} Window;

/* -- convolve: activation dot window */
/* Convolution, then the largest of each pool_height x pool_width sums, then activations. */
typedef struct {
    Window window;
    const int8_t *weight;        /* out_channels x in_channels of a group x height x width */
    const int32_t *bias;         /* out_channels, as are the next two */
    const int32_t *multiplier;
    const uint8_t *shift;
    int32_t groups, in_channels, out_channels; /* channels of one group */
    int32_t pool_height, pool_width;
    int zero, low;
} Convolution;

static int8_t patch[PATCH];  /* what one sum reads */
static int32_t largest[LARGEST]; /* of the sums of one window of the pooling */

/* Copy what the sum at (y, x) reads into patch. */
static void gather(const Window *w, const int8_t *in, int32_t channels, int32_t y, int32_t x)
{
    int8_t *to = patch;
    int32_t c, i, j;
    for (c = 0; c < channels; ++c, in += w->in_height * w->in_width)
        for (i = 0; i < w->height; ++i) {
            const int32_t row = y * w->stride_y + i * w->dilation_y - w->pad_y;
            for (j = 0; j < w->width; ++j) {
                const int32_t column = x * w->stride_x + j * w->dilation_x - w->pad_x;
                const int inside = row >= 0 && row < w->in_height && column >= 0 && column < w->in_width;
                *to++ = inside ? in[row * w->in_width + column] : w->pad;
            }
        }
}

static void convolve(const Convolution *c, const int8_t *in, int8_t *out)
{
    const Window *w = &c->window;
    const int32_t size = c->in_channels * w->height * w->width;
    const int32_t in_size = c->in_channels * w->in_height * w->in_width;
    int32_t group, y, x, i, j, k;
    for (group = 0; group < c->groups; ++group)
        for (y = 0; y < w->out_height; ++y)
            for (x = 0; x < w->out_width; ++x) {
                const int32_t first = group * c->out_channels;
                for (i = 0; i < c->pool_height; ++i)
                    for (j = 0; j < c->pool_width; ++j) {
                        gather(w, in + group * in_size, c->in_channels, y * c->pool_height + i,
                               x * c->pool_width + j);
                        for (k = 0; k < c->out_channels; ++k) {
                            const int8_t *weight = c->weight + (first + k) * size;
                            const int32_t sum = c->bias[first + k] + dot(patch, weight, size);
                            if ((i == 0 && j == 0) || sum > largest[k])
                                largest[k] = sum;
                        }
                    }
                for (k = 0; k < c->out_channels; ++k)
                    out[((first + k) * w->out_height + y) * w->out_width + x] =
                        activation((int64_t)largest[k] * c->multiplier[first + k],
                                   c->shift[first + k], c->zero, c->low);
            }
}

/* -- dense: */
/* A linear layer. */
typedef struct {
    const int8_t *weight;        /* out_size x in_size */
    const int32_t *bias;         /* out_size, as are the next two */
    const int32_t *multiplier;
    const uint8_t *shift;
    int32_t in_size, out_size;
    int zero, low;
} Dense;

/* -- connect: activation dot dense */
static void connect(const Dense *d, const int8_t *in, int8_t *out)
{
    int32_t k;
    for (k = 0; k < d->out_size; ++k) {
        const int32_t sum = d->bias[k] + dot(in, d->weight + k * d->in_size, d->in_size);
        out[k] = activation((int64_t)sum * d->multiplier[k], d->shift[k], d->zero, d->low);
    }
}

/* -- score: rescale dot dense */
/* The last linear layer, whose sums become scores. */
static void score(const Dense *d, const int8_t *in, int32_t *scores)
{
    int32_t k;
    for (k = 0; k < d->out_size; ++k) {
        const int32_t sum = d->bias[k] + dot(in, d->weight + k * d->in_size, d->in_size);
        scores[k] = (int32_t)rescale((int64_t)sum * d->multiplier[k], d->shift[k]);
    }
}

/* -- maximum: window */
/* The largest activation of each window; what lies around the input does not count. */
static void maximum(const Window *w, int32_t channels, const int8_t *in, int8_t *out)
{
    int32_t c, y, x, i, j;
    for (c = 0; c < channels; ++c, in += w->in_height * w->in_width)
        for (y = 0; y < w->out_height; ++y)
            for (x = 0; x < w->out_width; ++x) {
                int8_t most = -128;
                for (i = 0; i < w->height; ++i)
                    for (j = 0; j < w->width; ++j) {
                        const int32_t row = y * w->stride_y + i * w->dilation_y - w->pad_y;
                        const int32_t column = x * w->stride_x + j * w->dilation_x - w->pad_x;
                        if (row < 0 || row >= w->in_height || column < 0 || column >= w->in_width)
                            continue;
                        if (in[row * w->in_width + column] > most)
                            most = in[row * w->in_width + column];
                    }
                *out++ = most;
            }
}

/* -- average: activation window */
/* The scaled sum of each window. */
typedef struct {
    Window window;
    int32_t channels, bias, multiplier;
    int shift, zero, low;
} Average;

static void average(const Average *a, const int8_t *in, int8_t *out)
{
    const Window *w = &a->window;
    int32_t c, y, x, i, j;
    for (c = 0; c < a->channels; ++c, in += w->in_height * w->in_width)
        for (y = 0; y < w->out_height; ++y)
            for (x = 0; x < w->out_width; ++x) {
                int32_t sum = a->bias;
                for (i = 0; i < w->height; ++i)
                    for (j = 0; j < w->width; ++j) {
                        const int32_t row = y * w->stride_y + i - w->pad_y;
                        const int32_t column = x * w->stride_x + j - w->pad_x;
                        const int inside =
                            row >= 0 && row < w->in_height && column >= 0 && column < w->in_width;
                        sum += inside ? in[row * w->in_width + column] : w->pad;
                    }
                *out++ = activation((int64_t)sum * a->multiplier, a->shift, a->zero, a->low);
            }
}

/* -- add: activation */
/* The sum of two layers, each with a scale of its own. */
typedef struct {
    int32_t size, first_multiplier, second_multiplier;
    int first_zero, second_zero, shift, zero, low;
} Addition;

static void add(const Addition *a, const int8_t *first, const int8_t *second, int8_t *out)
{
    int32_t i;
    for (i = 0; i < a->size; ++i) {
        const int64_t sum = (int64_t)(first[i] - a->first_zero) * a->first_multiplier +
                            (int64_t)(second[i] - a->second_zero) * a->second_multiplier;
        out[i] = activation(sum, a->shift, a->zero, a->low);
    }
}

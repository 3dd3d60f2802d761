/* A CUDA driver without a device: "device" memory is this process's, and what is launched goes to a function that the test gives.
 * Any call can be made to fail. */
#include <stdint.h>
#include <string.h>

struct stub {
    const char *fail; /* the function that fails, with `error`; NULL: none */
    int error, at;    /* from its call number `at` on */
    int device, major, minor;
    int no_context;
    int loaded, calls; /* modules that are loaded now; of the function that fails */
    void *stream;      /* of the last launch */
    int (*launch)(const char *kernel, unsigned grid, unsigned block, unsigned shared, void **params);
} stub = {0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0};

static int does(const char *function)
{
    if (!stub.fail || strcmp(stub.fail, function) != 0)
        return 0;
    return stub.calls++ >= stub.at ? stub.error : 0;
}

int cuInit(unsigned flags)
{
    (void)flags;
    return does("cuInit");
}

int cuCtxGetCurrent(void **context)
{
    *context = stub.no_context ? 0 : &stub;
    return does("cuCtxGetCurrent");
}

int cuCtxGetDevice(int *device)
{
    *device = stub.device;
    return does("cuCtxGetDevice");
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    *value = attribute == 75 ? stub.major : attribute == 76 ? stub.minor : -1;
    return does("cuDeviceGetAttribute");
}

int cuModuleLoadData(void **module, const void *image)
{
    int error = does("cuModuleLoadData");
    if (error)
        return error;
    if (!strstr(image, ".version"))
        return 218; /* CUDA_ERROR_INVALID_PTX */
    stub.loaded++;
    *module = &stub;
    return 0;
}

int cuModuleUnload(void *module)
{
    (void)module;
    stub.loaded--;
    return does("cuModuleUnload");
}

/* A function is its name. */
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    (void)module;
    *function = (void *)(uintptr_t)name;
    return does("cuModuleGetFunction");
}

int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                   unsigned shared, void *stream, void **params, void **extra)
{
    int error = does("cuLaunchKernel");
    if (error)
        return error;
    if (!grid_x || grid_y != 1 || grid_z != 1 || !block_x || block_x > 1024 || block_y != 1 || block_z != 1 || shared > 48 * 1024 || extra)
        return 1; /* CUDA_ERROR_INVALID_VALUE */
    stub.stream = stream;
    return stub.launch(function, grid_x, block_x, shared, params);
}

int cuMemsetD8Async(uint64_t at, unsigned char value, size_t n, void *stream)
{
    (void)stream;
    memset((void *)(uintptr_t)at, value, n);
    return does("cuMemsetD8Async");
}

int cuMemsetD2D32Async(uint64_t at, size_t pitch, unsigned value, size_t width, size_t height, void *stream)
{
    size_t row, i;
    (void)stream;
    for (row = 0; row < height; row++)
        for (i = 0; i < width; i++)
            memcpy((char *)(uintptr_t)at + row * pitch + 4 * i, &value, 4);
    return does("cuMemsetD2D32Async");
}

int cuGetErrorName(int error, const char **name)
{
    *name = error == 1 ? "CUDA_ERROR_INVALID_VALUE" : error == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : error == 218 ? "CUDA_ERROR_INVALID_PTX" : 0;
    return *name ? 0 : 1;
}

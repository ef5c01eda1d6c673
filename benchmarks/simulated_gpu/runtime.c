/* A CUDA runtime and driver without a device: PyTorch finds one GPU, and no kernel ever runs.
   `runtime.py` adds all other functions that PyTorch imports; they do nothing and succeed. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDevice(int *device) { *device = 0; return 0; }
int cudaDriverGetVersion(int *version) { *version = 13000; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }

/* The beginning of cudaDeviceProp, the same in CUDA 12 and 13; the rest stays as PyTorch cleared it. */
struct properties {
  char name[256], uuid[16], luid[8];
  unsigned node_mask;
  size_t memory, shared_memory;
  int registers, warp_size;
  size_t pitch;
  int threads_a_block, block[3], grid[3], clock;
  size_t constant_memory;
  int major, minor;
};
int cudaGetDeviceProperties(struct properties *found, int device) {
  strcpy(found->name, "simulated GPU");
  found->memory = (size_t)80 << 30;
  found->warp_size = 32;
  found->major = 9; /* Hopper: which kernels of attention PyTorch chooses depends on it */
  return 0;
}
int cudaGetDeviceProperties_v2(struct properties *found, int device) { return cudaGetDeviceProperties(found, device); }
int cudaDeviceGetAttribute(int *value, int attribute, int device) { *value = 1; return 0; }
int cudaDeviceCanAccessPeer(int *possible, int device, int peer) { *possible = 0; return 0; }
int cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return 0; }
int cudaMemGetInfo(size_t *free, size_t *total) { *free = *total = (size_t)80 << 30; return 0; }

static int made(void **handle) { *handle = calloc(1, 64); return *handle == NULL; }
int cudaStreamCreateWithPriority(void **stream, unsigned flags, int priority) { return made(stream); }
int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return 0; }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return made(event); }
int cudaMalloc(void **memory, size_t size) { *memory = calloc(1, size); return *memory == NULL; }

/* Pinned memory is remembered, so that `Tensor.is_pinned` is right. */
static struct { char *start; size_t size; } pinned[4096];
static int count;

int cudaHostAlloc(void **memory, size_t size, unsigned flags) {
  *memory = calloc(1, size);
  if (*memory == NULL || count == 4096) return 2;
  pinned[count].start = *memory;
  pinned[count++].size = size;
  return 0;
}
int cudaMallocHost(void **memory, size_t size) { return cudaHostAlloc(memory, size, 0); }

struct attributes { int type, device; void *on_device, *on_host; };
int cudaPointerGetAttributes(struct attributes *found, const void *pointer) {
  memset(found, 0, sizeof *found);
  for (int i = 0; i < count; i++)
    if ((char *)pointer >= pinned[i].start && (char *)pointer < pinned[i].start + pinned[i].size) {
      found->type = 1;
      found->on_host = found->on_device = (void *)pointer;
    }
  return 0;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0; *active = 1; return 0; }

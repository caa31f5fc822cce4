// Marks the few functions that both host code and CUDA kernels call.
#pragma once

#ifdef __CUDACC__
#define CRIA_HOST_DEVICE __host__ __device__
#else
#define CRIA_HOST_DEVICE
#endif

// Which GPU of a host a rank takes: its number among the ranks of the host, modulo the GPUs there.
#pragma once

#include <cstdlib>

namespace cria {

// As the launcher says: Open MPI's mpirun, srun, MPICH's and Intel's mpirun. 0 without one.
inline int local_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID", "MPI_LOCALRANKID"}) {
    if (const char* value = std::getenv(name)) return std::atoi(value);
  }
  return 0;
}

inline int gpu_of_rank(int rank_on_host, int gpus) { return rank_on_host % gpus; }

}  // namespace cria

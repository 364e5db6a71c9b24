// The calls upon graphs.

#include "tests/testing/fake_cuda/machine.h"

namespace fake_cuda {

extern "C" {

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags) {
  Call call("cudaGraphInstantiate");
  *exec = nullptr;
  if (call.fails()) return call.Return(cudaErrorMemoryAllocation);
  const auto known = call.machine().graphs.find(graph);
  if (known == call.machine().graphs.end()) return call.Misuse("a graph that was destroyed or never made");
  *exec = call.machine().NewHandle<cudaGraphExec_t>();
  call.machine().execs[*exec] = known->second;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  Call call("cudaGraphLaunch");
  if (call.fails()) return call.Fail(stream, cudaErrorLaunchFailure);
  const std::shared_ptr<Stream> found = call.FindStream(stream);
  if (found == nullptr) return LastError();
  const auto known = call.machine().execs.find(exec);
  if (known == call.machine().execs.end()) {
    return call.Misuse("an executable graph that was destroyed or never made");
  }
  const Graph& graph = known->second;
  if (graph.device != found->device) {
    return call.Misuse("a graph of device " + std::to_string(graph.device) + " in a stream of device " +
                       std::to_string(found->device));
  }
  for (const WorkPtr& work : graph.works) call.Enqueue(found.get(), work);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  Call call("cudaGraphDestroy");
  if (call.machine().graphs.erase(graph) == 0) return call.Misuse("a graph that was destroyed or never made");
  return call.Return(call.fails() ? cudaErrorLaunchFailure : cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  Call call("cudaGraphExecDestroy");
  if (call.machine().execs.erase(exec) == 0) {
    return call.Misuse("an executable graph that was destroyed or never made");
  }
  return call.Return(call.fails() ? cudaErrorLaunchFailure : cudaSuccess);
}

}  // extern "C"

}  // namespace fake_cuda

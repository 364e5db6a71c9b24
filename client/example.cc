// The README's first query from C++: scores two images and draws three samples. Run against any server:
// glowworm-example [HOST:PORT [MODEL]]. Tested by tests/e2e/readme_test.py.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "client/client.h"

int Failed(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

int main(int argc, char** argv) {
  auto client = glowworm::Client::Connect(argc > 1 ? argv[1] : "127.0.0.1:50051");
  if (!client.ok()) return Failed(client.status());
  const char* model = argc > 2 ? argv[2] : "digits";

  // Two 8x8 images: one all 8.5 (grey), one all 0.5 (black).
  std::vector<float> pixels(128, 8.5f);
  std::fill(pixels.begin() + 64, pixels.end(), 0.5f);
  auto scores = (*client)->LogLikelihood(model, glowworm::Array::Of<float>({2, 1, 8, 8}, pixels));
  if (!scores.ok()) return Failed(scores.status());
  std::printf("log p = %.6f and %.6f nats\n", scores->log_likelihood[0], scores->log_likelihood[1]);

  glowworm::client::SampleRequest request;
  request.num_samples = 3;
  request.seed = 42;
  auto samples = (*client)->Sample(model, request);
  if (!samples.ok()) return Failed(samples.status());
  std::printf("drew %lld samples with seed %llu\n", static_cast<long long>(samples->x.rows()),
              static_cast<unsigned long long>(samples->seed));
}

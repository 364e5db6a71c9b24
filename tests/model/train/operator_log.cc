// Implements tests/model/train/operator_log.h.

#include "tests/model/train/operator_log.h"

#include <memory>
#include <mutex>

namespace glowworm {
namespace train {
namespace {

// libtorch takes a plain function, so what it writes to is one for the process.
std::mutex mutex;
std::vector<std::string>* recorded = new std::vector<std::string>;  // guarded by mutex

std::unique_ptr<at::ObserverContext> Record(const at::RecordFunction& function) {
  const std::lock_guard<std::mutex> lock(mutex);
  recorded->push_back(function.name());
  return nullptr;
}

}  // namespace

OperatorLog::OperatorLog() {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    recorded->clear();
  }
  handle_ = at::addGlobalCallback(at::RecordFunctionCallback(Record));
}

OperatorLog::~OperatorLog() { at::removeCallback(handle_); }

std::vector<std::string> OperatorLog::names() const {
  const std::lock_guard<std::mutex> lock(mutex);
  return *recorded;
}

std::vector<std::string> Containing(const std::vector<std::string>& names,
                                    const std::vector<std::string>& parts) {
  std::vector<std::string> out;
  for (const std::string& name : names) {
    for (const std::string& part : parts) {
      if (name.find(part) == std::string::npos) continue;
      out.push_back(name);
      break;
    }
  }
  return out;
}

}  // namespace train
}  // namespace glowworm

#include "model/train/flow_model.h"

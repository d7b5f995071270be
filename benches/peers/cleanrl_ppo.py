"""One PPO agent the way CleanRL trains it: Gymnasium's SyncVectorEnv and PyTorch on the CPU.

Written for this comparison from what CleanRL's `ppo.py` (CartPole-v1) and `ppo_continuous_action.py` (Hopper-v4) do:
same environments and wrappers, networks, loss, optimiser and defaults. Their logging is left out, so it is, if
anything, faster than the originals. Prints one line of JSON.
"""

import time

START = time.perf_counter()

import argparse
import json
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from gymnasium import wrappers
from torch import nn
from torch.distributions import Categorical, Independent, Normal

GAMMA, LAMBDA, CLIP, VALUE, NORM = 0.99, 0.95, 0.2, 0.5, 0.5


@dataclass(frozen=True)
class Task:
    """What differs between the two originals' defaults. `envs` and `steps` are those of an iteration."""

    environment: str
    envs: int
    steps: int
    epochs: int
    minibatches: int
    entropy: float
    rate: float


TASKS = {
    "cartpole": Task("CartPole-v1", envs=4, steps=128, epochs=4, minibatches=4, entropy=0.01, rate=2.5e-4),
    "hopper": Task("Hopper-v4", envs=1, steps=2048, epochs=10, minibatches=32, entropy=0.0, rate=3e-4),
}


def make(task):
    env = gymnasium.make(task.environment)
    if isinstance(env.action_space, gymnasium.spaces.Discrete):
        return wrappers.RecordEpisodeStatistics(env)
    env = wrappers.RecordEpisodeStatistics(wrappers.FlattenObservation(env))
    env = wrappers.NormalizeObservation(wrappers.ClipAction(env))
    env = wrappers.TransformObservation(env, lambda observation: np.clip(observation, -10, 10), env.observation_space)
    env = wrappers.NormalizeReward(env, gamma=GAMMA)
    return wrappers.TransformReward(env, lambda reward: np.clip(reward, -10, 10))


def network(inputs, outputs, scale):
    layers = []
    for fan_in, fan_out, gain in [(inputs, 64, 2**0.5), (64, 64, 2**0.5), (64, outputs, scale)]:
        layer = nn.Linear(fan_in, fan_out)
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class Policy(nn.Module):
    """The distribution of actions in a state: categorical, or Gaussian with a std for each action."""

    def __init__(self, inputs, actions, discrete):
        super().__init__()
        self.network = network(inputs, actions, 0.01)
        self.log_std = None if discrete else nn.Parameter(torch.zeros(1, actions))

    def forward(self, observations):
        output = self.network(observations)
        if self.log_std is None:
            return Categorical(logits=output)
        return Independent(Normal(output, self.log_std.expand_as(output).exp()), 1)


def update(task, actor, critic, parameters, optimizer, batch, rng):
    """All epochs of one iteration; `batch` is observations, actions, log-probs, values, advantages, returns."""
    for _ in range(task.epochs):
        for indices in rng.permutation(task.envs * task.steps).reshape(task.minibatches, -1):
            observations, actions, log_probs, values, advantages, returns = (x[indices] for x in batch)
            distribution = actor(observations)
            log_ratio = distribution.log_prob(actions) - log_probs
            ratio = log_ratio.exp()
            with torch.no_grad():  # the original computes these for every minibatch
                ((ratio - 1) - log_ratio).mean()
                ((ratio - 1).abs() > CLIP).float().mean().item()
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            policy_loss = torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
            new_values = critic(observations).view(-1)
            clipped = values + (new_values - values).clamp(-CLIP, CLIP)
            value_loss = 0.5 * torch.max((new_values - returns) ** 2, (clipped - returns) ** 2).mean()
            loss = policy_loss - task.entropy * distribution.entropy().mean() + VALUE * value_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, NORM)
            optimizer.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="cartpole")
    parser.add_argument("--total-steps", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    task = TASKS[args.task]
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)

    envs = gymnasium.vector.SyncVectorEnv(
        [lambda: make(task)] * task.envs,
        # What CleanRL's code was written for: the reset happens in the step that ends an episode.
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )
    inputs, space = envs.single_observation_space.shape[0], envs.single_action_space
    discrete = isinstance(space, gymnasium.spaces.Discrete)
    actor = Policy(inputs, space.n if discrete else space.shape[0], discrete)
    critic = network(inputs, 1, 1.0)
    parameters = [*critic.parameters(), *actor.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=task.rate, eps=1e-5)

    observations = torch.zeros(task.steps, task.envs, inputs)
    actions = torch.zeros((task.steps, task.envs) + space.shape)
    log_probs, rewards, dones, values = (torch.zeros(task.steps, task.envs) for _ in range(4))
    observation = torch.tensor(envs.reset(seed=args.seed)[0], dtype=torch.float32)
    done = torch.zeros(task.envs)
    returns_seen, iterations = [], args.total_steps // (task.envs * task.steps)

    ready, ready_cpu, learning = time.perf_counter(), time.process_time(), 0.0
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = task.rate * (1 - iteration / iterations)
        for step in range(task.steps):
            observations[step], dones[step] = observation, done
            with torch.no_grad():
                distribution = actor(observation)
                action = distribution.sample()
                actions[step], log_probs[step] = action, distribution.log_prob(action)
                values[step] = critic(observation).flatten()
            following, reward, terminated, truncated, info = envs.step(action.numpy())
            rewards[step] = torch.tensor(reward)
            observation = torch.tensor(following, dtype=torch.float32)
            done = torch.tensor(np.logical_or(terminated, truncated), dtype=torch.float32)
            if "final_info" in info:
                ended = info["final_info"]["_episode"]
                returns_seen.extend(info["final_info"]["episode"]["r"][ended].tolist())
        with torch.no_grad():
            next_value, next_alive = critic(observation).flatten(), 1 - done
            advantages, advantage = torch.zeros(task.steps, task.envs), 0.0
            for step in reversed(range(task.steps)):
                delta = rewards[step] + GAMMA * next_value * next_alive - values[step]
                advantages[step] = advantage = delta + GAMMA * LAMBDA * next_alive * advantage
                next_value, next_alive = values[step], 1 - dones[step]
        flat = [x.flatten(0, 1) for x in (observations, actions, log_probs, values, advantages, advantages + values)]
        began = time.perf_counter()
        update(task, actor, critic, parameters, optimizer, flat, rng)
        learning += time.perf_counter() - began
    end, end_cpu = time.perf_counter(), time.process_time()
    print(json.dumps({
        "peer": "cleanrl", "agents": 1, "threads": args.threads,
        "agent_steps": iterations * task.envs * task.steps,
        "start_up_s": ready - START, "train_s": end - ready, "train_cpu_s": end_cpu - ready_cpu,
        "learner_s_per_minibatch": learning / (iterations * task.epochs * task.minibatches),
        "final_return": float(np.mean(returns_seen[-20:])),
    }))


if __name__ == "__main__":
    main()

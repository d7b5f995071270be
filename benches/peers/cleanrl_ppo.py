"""One PPO agent on CartPole-v1 the way CleanRL trains it: Gymnasium's SyncVectorEnv and PyTorch on the CPU.

Written for this comparison from the description of CleanRL's `ppo.py` (same environments, networks, loss, optimiser
and defaults) without its logging, so it is, if anything, faster than the original. Prints one line of JSON.
"""

import time

START = time.perf_counter()

import argparse
import json

import gymnasium
import numpy as np
import torch
from torch import nn

ENVS, STEPS, EPOCHS, MINIBATCHES = 4, 128, 4, 4
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, NORM, RATE = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5, 2.5e-4


def network(inputs, outputs, scale):
    layers = []
    for fan_in, fan_out, gain in [(inputs, 64, 2**0.5), (64, 64, 2**0.5), (64, outputs, scale)]:
        layer = nn.Linear(fan_in, fan_out)
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def update(actor, critic, parameters, optimizer, batch, rng):
    """All epochs of one iteration; `batch` is observations, actions, log-probs, values, advantages, returns."""
    for _ in range(EPOCHS):
        for indices in rng.permutation(ENVS * STEPS).reshape(MINIBATCHES, -1):
            observations, actions, log_probs, values, advantages, returns = (x[indices] for x in batch)
            distribution = torch.distributions.Categorical(logits=actor(observations))
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
            loss = policy_loss - ENTROPY * distribution.entropy().mean() + VALUE * value_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, NORM)
            optimizer.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--total-steps", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)

    envs = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("CartPole-v1"))] * ENVS,
        # What CleanRL's code was written for: the reset happens in the step that ends an episode.
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )
    actor, critic = network(4, 2, 0.01), network(4, 1, 1.0)
    parameters = [*critic.parameters(), *actor.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE, eps=1e-5)

    observations = torch.zeros(STEPS, ENVS, 4)
    actions, log_probs, rewards, dones, values = (torch.zeros(STEPS, ENVS) for _ in range(5))
    observation = torch.tensor(envs.reset(seed=args.seed)[0])
    done = torch.zeros(ENVS)
    returns_seen, iterations = [], args.total_steps // (ENVS * STEPS)

    ready, ready_cpu, learning = time.perf_counter(), time.process_time(), 0.0
    for iteration in range(iterations):
        optimizer.param_groups[0]["lr"] = RATE * (1 - iteration / iterations)
        for step in range(STEPS):
            observations[step], dones[step] = observation, done
            with torch.no_grad():
                distribution = torch.distributions.Categorical(logits=actor(observation))
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
            advantages, advantage = torch.zeros(STEPS, ENVS), 0.0
            for step in reversed(range(STEPS)):
                delta = rewards[step] + GAMMA * next_value * next_alive - values[step]
                advantages[step] = advantage = delta + GAMMA * LAMBDA * next_alive * advantage
                next_value, next_alive = values[step], 1 - dones[step]
        flat = [observations.reshape(-1, 4), actions.reshape(-1).long(), log_probs.reshape(-1), values.reshape(-1),
                advantages.reshape(-1), (advantages + values).reshape(-1)]
        began = time.perf_counter()
        update(actor, critic, parameters, optimizer, flat, rng)
        learning += time.perf_counter() - began
    end, end_cpu = time.perf_counter(), time.process_time()
    print(json.dumps({
        "peer": "cleanrl", "agents": 1, "threads": args.threads, "agent_steps": iterations * ENVS * STEPS,
        "start_up_s": ready - START, "train_s": end - ready, "train_cpu_s": end_cpu - ready_cpu,
        "learner_s_per_minibatch": learning / (iterations * EPOCHS * MINIBATCHES),
        "final_return": float(np.mean(returns_seen[-20:])),
    }))


if __name__ == "__main__":
    main()

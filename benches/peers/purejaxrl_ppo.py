"""PPO agents on CartPole-v1 the way PureJaxRL trains them: the whole training jitted, `vmap` over agents.

Written for this comparison from PureJaxRL's published description (environment, rollout, advantages and all epochs in
one jitted scan over iterations). Same task and hyper-parameters as `cleanrl_ppo.py`. Prints one line of JSON.
"""

import time

START = time.perf_counter()

import argparse
import json
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

ENVS, STEPS, EPOCHS, MINIBATCHES = 4, 128, 4, 4
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, NORM, RATE = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5, 2.5e-4


def reset(key):
    return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05), jnp.zeros((), jnp.int32)


def step(key, state, action):
    """CartPole-v1 (Gymnasium's constants, Euler), reset in the step that ends an episode."""
    (x, velocity, angle, spin), elapsed = state
    force = jnp.where(action == 1, 10.0, -10.0)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    pushed = (force + 0.05 * spin**2 * sine) / 1.1
    spin_rate = (9.8 * sine - cosine * pushed) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    rate = pushed - 0.05 * spin_rate * cosine / 1.1
    following = jnp.stack([x + 0.02 * velocity, velocity + 0.02 * rate, angle + 0.02 * spin, spin + 0.02 * spin_rate])
    elapsed += 1
    fallen = (jnp.abs(following[0]) > 2.4) | (jnp.abs(following[2]) > 12 * 2 * jnp.pi / 360)
    done = fallen | (elapsed >= 500)
    fresh, zero = reset(key)
    return (jnp.where(done, fresh, following), jnp.where(done, zero, elapsed)), done


def network(rng, agents, outputs, scale):
    layers = []
    for fan_in, fan_out, gain in [(4, 64, 2**0.5), (64, 64, 2**0.5), (64, outputs, scale)]:
        columns, triangle = np.linalg.qr(rng.standard_normal((agents, max(fan_in, fan_out), min(fan_in, fan_out))))
        columns *= np.sign(np.diagonal(triangle, axis1=1, axis2=2))[:, None]
        weight = gain * (columns if fan_in >= fan_out else columns.transpose(0, 2, 1))
        layers.append((jnp.asarray(weight, jnp.float32), jnp.zeros((agents, fan_out))))
    return layers


def forward(layers, x):
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def loss(parameters, batch):
    actor, critic = parameters
    observations, actions, log_probs, values, advantages, returns = batch
    log_policy = jax.nn.log_softmax(forward(actor, observations))
    ratio = jnp.exp(jnp.take_along_axis(log_policy, actions[:, None], 1)[:, 0] - log_probs)
    advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    policy_loss = -jnp.minimum(ratio * advantages, ratio.clip(1 - CLIP, 1 + CLIP) * advantages).mean()
    new_values = forward(critic, observations)[:, 0]
    clipped = values + (new_values - values).clip(-CLIP, CLIP)
    value_loss = 0.5 * jnp.maximum((new_values - returns) ** 2, (clipped - returns) ** 2).mean()
    entropy = -(jnp.exp(log_policy) * log_policy).sum(1).mean()
    return policy_loss + VALUE * value_loss - ENTROPY * entropy


def minibatch(carry, batch):
    parameters, first, second, count, rate = carry
    gradient = jax.grad(loss)(parameters, batch)
    norm = jnp.sqrt(sum((g**2).sum() for g in jax.tree.leaves(gradient)))
    gradient = jax.tree.map(lambda g: g * jnp.minimum(1.0, NORM / (norm + 1e-6)), gradient)
    count += 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradient)
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-5),
        parameters, first, second,
    )
    return (parameters, first, second, count, rate), None


def update(optimisation, batch, key):
    """All epochs of one iteration."""

    def epoch(carry, key):
        permutation = jax.random.permutation(key, ENVS * STEPS)
        split = jax.tree.map(lambda x: x[permutation].reshape(MINIBATCHES, -1, *x.shape[1:]), batch)
        return jax.lax.scan(minibatch, carry, split)

    return jax.lax.scan(epoch, optimisation, jax.random.split(key, EPOCHS))[0]


def begin(seed, agents):
    """Networks and optimisers of all agents. By NumPy, since XLA's batched QR decomposition of 80 agents can wait for
    ever on a machine with two cores (jaxlib 0.10.2)."""
    rng = np.random.default_rng(seed)
    parameters = (network(rng, agents, 2, 0.01), network(rng, agents, 1, 1.0))
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return parameters, zeros, zeros, jnp.zeros(agents), jnp.full(agents, RATE)


def train(key, optimisation, iterations):
    key, environments = jax.random.split(key)
    states = jax.vmap(reset)(jax.random.split(environments, ENVS))

    def iterate(carry, index):
        (parameters, first, second, count, _), states, score, key = carry
        actor, critic = parameters
        key, rolling, shuffling = jax.random.split(key, 3)

        def act(carry, key):
            states, score, finished = carry
            choosing, stepping = jax.random.split(key)
            observations = states[0]
            log_policy = jax.nn.log_softmax(forward(actor, observations))
            actions = jax.random.categorical(choosing, log_policy)
            log_probs = jnp.take_along_axis(log_policy, actions[:, None], 1)[:, 0]
            values = forward(critic, observations)[:, 0]
            states, done = jax.vmap(step)(jax.random.split(stepping, ENVS), states, actions)
            score += 1
            finished = (finished[0] + (score * done).sum(), finished[1] + done.sum())
            return (states, jnp.where(done, 0, score), finished), (observations, actions, log_probs, values, done)

        (states, score, finished), rollout = jax.lax.scan(
            act, (states, score, (jnp.zeros(()), jnp.zeros(()))), jax.random.split(rolling, STEPS))
        observations, actions, log_probs, values, done = rollout

        def accumulate(carry, sample):
            advantage, next_value = carry
            value, alive = sample
            advantage = 1.0 + GAMMA * next_value * alive - value + GAMMA * LAMBDA * alive * advantage
            return (advantage, value), advantage

        last = forward(critic, states[0])[:, 0]
        _, advantages = jax.lax.scan(accumulate, (jnp.zeros(ENVS), last), (values, 1.0 - done), reverse=True)
        batch = (observations, actions, log_probs, values, advantages, advantages + values)
        batch = jax.tree.map(lambda x: x.reshape(ENVS * STEPS, *x.shape[2:]), batch)
        rate = RATE * (1 - index / iterations)
        optimisation = update((parameters, first, second, count, rate), batch, shuffling)
        return (optimisation, states, score, key), finished[0] / jnp.maximum(finished[1], 1)

    carry = (optimisation, states, jnp.zeros(ENVS), key)
    return jax.lax.scan(iterate, carry, jnp.arange(iterations))[1]


def learner(agents, repetitions=5):
    """Seconds for all epochs of one iteration of all agents, on random data."""
    keys = jax.random.split(jax.random.key(0), agents)
    count, keys_of = ENVS * STEPS, lambda i: jax.random.split(jax.random.key(i), agents)
    batch = (
        jax.random.normal(keys[0], (agents, count, 4)), jax.random.bernoulli(keys[0], 0.5, (agents, count)).astype(int),
        jnp.full((agents, count), -0.7), *(jax.random.normal(k, (agents, count)) for k in jax.random.split(keys[0], 3)),
    )
    state, run = begin(0, agents), jax.jit(jax.vmap(update))
    state = jax.block_until_ready(run(state, batch, keys_of(1)))
    began = time.perf_counter()
    for i in range(repetitions):
        state = run(state, batch, keys_of(i))
    jax.block_until_ready(state)
    return (time.perf_counter() - began) / repetitions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--total-steps", type=int, default=50_000, help="of each agent")
    parser.add_argument("--agents", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learner", action="store_true", help="time the learner alone, too")
    args = parser.parse_args()
    iterations = args.total_steps // (ENVS * STEPS)
    keys = jax.random.split(jax.random.key(args.seed), args.agents)
    ready = time.perf_counter()
    initial = begin(args.seed, args.agents)
    program = jax.jit(jax.vmap(lambda key, state: train(key, state, iterations))).lower(keys, initial).compile()
    compiled, compiled_cpu = time.perf_counter(), time.process_time()
    returns = jax.block_until_ready(program(keys, initial))
    end, end_cpu = time.perf_counter(), time.process_time()
    result = {
        "peer": "purejaxrl", "agents": args.agents, "agent_steps": iterations * ENVS * STEPS * args.agents,
        "start_up_s": ready - START, "compile_s": compiled - ready, "train_s": end - compiled,
        "train_cpu_s": end_cpu - compiled_cpu,
        "final_return": float(returns[:, -5:].mean()),
    }
    if args.learner:
        result["learner_s_per_minibatch"] = learner(args.agents) / (EPOCHS * MINIBATCHES * args.agents)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

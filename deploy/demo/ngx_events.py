"""The events of a voice-sales API (NGX): what its pods log, as (level, logger, event, fields).

One seeded source for the demo program, the end-to-end tests and the corpus generator of bench/.
The mix is that of a real service: a third HTTP access lines, then conversation turns, model
predictions, database and cache calls, and now and then an error with a Python traceback.
"""
import random

TIERS, TIER_WEIGHTS = ["essential", "pro", "hybrid_coaching", "agents_access"], [40, 30, 20, 10]
MODELS = ["objection_predictor", "needs_analyzer", "conversion_model", "churn_model"]
ROUTES = ["/api/v1/conversations/start", "/api/v1/conversations/{id}/message",
          "/api/v1/conversations/{id}/end", "/api/v1/tiers/detect", "/api/v1/predictions",
          "/health", "/metrics"]
AGENTS = ["Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
          "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0",
          "ngx-mobile/4.2.1 (android 14)", "kube-probe/1.29", "python-httpx/0.27.0"]
STATUSES = [200, 201, 400, 401, 404, 422, 429, 500, 503]
STATUS_WEIGHTS = [860, 60, 20, 8, 20, 10, 8, 9, 5]
OBJECTIONS = ["price_too_high", "no_time", "need_to_think", "spouse_approval",
              "already_have_trainer"]
SENTIMENTS = ["positive", "neutral", "negative", "frustrated", "curious"]
WORDS = ("precio plan entrenamiento nutricion semana resultado tiempo objetivo energia coach "
         "sesion duda pago tarjeta mensual gracias quiero saber mas sobre programa salud").split()
QUERIES = ["SELECT * FROM conversations WHERE id = $1",
           "INSERT INTO messages (conversation_id, role, content) VALUES ($1, $2, $3)",
           "UPDATE conversations SET state = $1 WHERE id = $2"]
TRACEBACK = """Traceback (most recent call last):
  File "/app/src/services/conversation/orchestrator.py", line {}, in process_message
    response = await self.llm.generate(prompt, timeout=self.timeout)
  File "/app/src/integrations/openai_client.py", line {}, in generate
    raise {}(f"upstream failed after {{attempt}} attempts")
src.core.exceptions.{}: upstream failed after 3 attempts"""
CONVERSATIONS_MAX = 400   # running at once; a finished one makes room for the next


class Conversation:
    def __init__(self, rng):
        h = f"{rng.getrandbits(128):032x}"
        self.id = f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"
        self.customer = f"cust_{rng.randrange(1, 200000):06d}"
        self.tier = rng.choices(TIERS, TIER_WEIGHTS)[0]
        self.turns = 0

    def who(self):
        return {"conversation_id": self.id, "customer_id": self.customer, "tier": self.tier}


class Events:
    """Call next() for one event. `error_share` scales the share of errors (1: about 1.4%)."""

    def __init__(self, seed=1, error_share=1.0):
        self.rng = random.Random(seed)
        self.running = []
        self.error_share = error_share

    def next(self):
        rng, r = self.rng, self.rng.random()
        if not self.running or r < .04:
            return self._started()
        conversation = self.running[rng.randrange(len(self.running))]
        if rng.random() < .005 * self.error_share:
            return self._error(conversation)
        for share, make in self.MIX:
            if r < share:
                return make(self, conversation)
        return self._retry(conversation)

    def _request_id(self):
        return f"{self.rng.getrandbits(64):016x}"

    def _started(self):
        if len(self.running) >= CONVERSATIONS_MAX:
            self.running.pop(self.rng.randrange(len(self.running)))
        conversation = Conversation(self.rng)
        self.running.append(conversation)
        channel = self.rng.choice(["web", "mobile", "whatsapp"])
        return "info", "ngx.conversation", "conversation_started", {**conversation.who(),
                                                                    "channel": channel}

    def _http(self, c):
        rng = self.rng
        weights = STATUS_WEIGHTS[:7] + [w * self.error_share for w in STATUS_WEIGHTS[7:]]
        status = rng.choices(STATUSES, weights)[0]
        level = "info" if status < 400 else "warning" if status < 500 else "error"
        return level, "ngx.api.middleware", "http_request", {
            "method": rng.choice(["GET", "POST"]), "path": rng.choice(ROUTES).format(id=c.id),
            "status": status, "duration": round(rng.lognormvariate(3.4, 1.0), 3),
            "request_id": self._request_id(),
            "client_ip": f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(256)}",
            "user_agent": rng.choice(AGENTS)}

    def _message(self, c):
        rng = self.rng
        c.turns += 1
        return "info", "ngx.conversation", "message_processed", {
            **c.who(), "turn": c.turns - 1, "message_length": rng.randrange(5, 600),
            "sentiment": rng.choice(SENTIMENTS),
            "text": " ".join(rng.choices(WORDS, k=rng.randrange(4, 18)))}

    def _prediction(self, c):
        rng = self.rng
        return "info", "ngx.ml", "ml_prediction", {
            "conversation_id": c.id, "model": rng.choice(MODELS),
            "model_version": rng.choice(["v2.3.1", "v2.4.0"]),
            "duration": round(rng.lognormvariate(3.9, .7), 2),
            "confidence": round(rng.random(), 4),
            "prediction": {"label": rng.choice(OBJECTIONS), "score": round(rng.random(), 6),
                           "top_k": [rng.choice(OBJECTIONS), rng.choice(OBJECTIONS)]},
            "request_id": self._request_id()}

    def _database(self, c):
        rng = self.rng
        return "debug", "ngx.db", "db_query", {
            "query": rng.choice(QUERIES), "rows": rng.randrange(0, 40),
            "duration_ms": round(rng.lognormvariate(1.0, .9), 3),
            "pool": {"size": 20, "checked_out": rng.randrange(0, 20), "overflow": 0},
            "request_id": self._request_id()}

    def _cache(self, c):
        rng = self.rng
        return "debug", "ngx.cache", "cache_lookup", {
            "key": f"conv:{c.id}:state", "hit": rng.random() < .83,
            "ttl": rng.choice([60, 300, 3600]), "backend": "redis"}

    def _completed(self, c):
        rng = self.rng
        return "info", "ngx.conversation", "conversation_completed", {
            **c.who(), "outcome": rng.choice(["converted", "dropped", "follow_up"]),
            "turns": c.turns, "duration_s": round(rng.expovariate(1 / 300), 1)}

    def _tier(self, c):
        rng = self.rng
        return "info", "ngx.tier", "tier_detected", {
            "conversation_id": c.id, "from_tier": c.tier, "to_tier": rng.choice(TIERS),
            "reason": rng.choice(OBJECTIONS), "confidence": round(rng.random(), 4)}

    def _retry(self, c):
        rng = self.rng
        return "warning", "ngx.integrations", "upstream_retry", {
            "provider": rng.choice(["openai", "elevenlabs"]), "attempt": rng.randrange(1, 4),
            "backoff_s": rng.choice([.5, 1.0, 2.0])}

    def _error(self, c):
        rng = self.rng
        kind = rng.choice(["UpstreamTimeout", "RateLimited", "CircuitOpen"])
        text = TRACEBACK.format(rng.randrange(80, 400), rng.randrange(40, 200), kind, kind)
        return "error", "ngx.conversation", "ERROR processing message", {**c.who(),
                                                                         "exception": text}

    # Cumulative shares of the draw that also decides whether a conversation starts.
    MIX = [(.40, _http), (.58, _message), (.74, _prediction), (.86, _database), (.93, _cache),
           (.96, _completed), (.988, _tier)]

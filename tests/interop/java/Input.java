import java.util.concurrent.atomic.AtomicBoolean;

/** Standard input as the sign to stop: who started the program closes it. */
class Input {
    static AtomicBoolean ended() {
        AtomicBoolean ended = new AtomicBoolean();
        Thread waiter = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException e) {
                throw new RuntimeException(e);
            }
            ended.set(true);
        });
        waiter.setDaemon(true);
        waiter.start();
        return ended;
    }
}

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/** Answers with the path that Java's HttpServer makes of the request, and prints the port that it listens on. */
public class Served {
    private static String quoted(String path) {
        return path == null ? "null" : '"' + path.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    public static void main(String[] arguments) throws Exception {
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            var path = exchange.getRequestURI().getPath();
            var content = ("{\"HttpServer\":" + quoted(path) + "}").getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, content.length);
            exchange.getResponseBody().write(content);
            exchange.close();
        });
        server.start();
        System.out.println(server.getAddress().getPort());
    }
}

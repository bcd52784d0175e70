import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class ClientFetch {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(new URI(System.getenv("BASE") + "/")).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
